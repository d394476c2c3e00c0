"""Commands of other pages: probes, drawn faults, completions, wheels of our own, the pages themselves."""

import contextlib
import subprocess
import sys
from pathlib import Path

from tests.documented.walks import Step, Walk
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

_QUICK = ("--patience", "1", "--poll", "0.05", "--accelerator", "cpu", "--replace", "--out", "seen.json")
_ONE_RUN = {"300": "1", "--seed 0": "1000"}
_SHELLS = {
    "bash": "~/.kit-completion.bash",
    "fish": "~/.config/fish/completions/python.fish",
    "zsh": "~/.kit-completion.zsh",
}


@contextlib.contextmanager
def kaggle(folder):
    """A Kaggle that runs each kernel in this Python."""

    def session(text, _request):
        place = folder / "session"
        place.mkdir(exist_ok=True)
        (place / "script.py").write_text(text)
        image = "host/kaggle-images/python@sha256:" + "a" * 64
        done = subprocess.run(
            [str(Path(sys.base_prefix) / "bin" / "python3"), "-I", "-S", "script.py"],
            cwd=place,
            env={"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_DOCKER_IMAGE": image, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        return Run({"observed.json": (place / "observed.json").read_bytes()}, done.stdout.splitlines())

    (folder / "home").mkdir(exist_ok=True)
    with Server(World()) as server:
        server.world.rooms["run"] = session
        yield dict.fromkeys(REMOVED) | server.environment(folder / "home")


def freeze(kit):
    """Write what `pip freeze` says somewhere."""
    (kit / "freeze.txt").write_text("torch==2.11.0\ntorchvision==0.26.0\nnumpy==2.1.0\n")


ALL = Walk(
    "others",
    (
        Step("nox -s probe", '"target"', more=_QUICK, with_service=True),
        Step(
            "nox -s probe -- --accelerator cpu",
            '"target"',
            more=(*_QUICK[:4], *_QUICK[6:]),
            with_service=True,
        ),
        freeze,
        Step("nox -s probe -- --from freeze.txt --python 3.13 --name theirs", "theirs", more=_QUICK[6:]),
        Step("nox -s probe -- --local", '"target"', more=_QUICK[6:]),
        Step("nox -s faults", r"\| push and submission \|", more=("--schedules", "1")),
        Step(
            "nox -s faults -- --schedules 300 --seed 0 --write-docs",
            r"\| push and submission \|",
            {"300": "1"},
        ),
        *(
            Step(f"nox -s faults -- --runs 300 {drawn}", "1 left what they have to", _ONE_RUN, more=more)
            for drawn, more in (("--seed 0", ("--write-docs",)), ("--seed 1000 --write-docs", ()))
        ),
        *(
            Step(f"python -m kit completion {shell} > {place}", "train_local", {">": (), place: ()})
            for shell, place in _SHELLS.items()
        ),
        Step("python -m bundle wheel", "required: VERB.*fix:", code=2),
        Step("python -m bundle wheel cbnetv2 --out DIR", r"cbnetv2-.*\.whl", {"DIR": "wheels"}),
        Step("python -m documents write", r"\A\Z"),
        Step("nox -s docs", "Session docs was successful"),
    ),
    kaggle,
)
