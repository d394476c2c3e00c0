"""Runs predict.py offline as Kaggle would, before it costs a submission, and checks and scores the result."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from kit import ensemble as ensembles
from kit.artefacts import write_json
from kit.command_line import option
from kit.competitions import of
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.scores import score
from kit.local.interpreters import PYTHONS, find_python
from kit.local.offline import sandbox
from kit.local.offline.kaggle_shape import Archives, Layout, mount
from kit.local.offline.simulated_image import Image, choose_target, make_image
from kit.typed_json import above
from submission.runtime.result.submission_file import guess_sizes, image_sizes
from submission.runtime.script.options import DEFAULT_BUDGET

GIB = 1 << 30


def _gigabytes(text: str) -> int:
    """Bytes of a number of gigabytes."""
    return int(float(text) * GIB)


def _root() -> Path:
    return Path(str(files("submission"))).parent


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to rehearse.

    Attributes:
        predict: the rendered script.
        bundle: folder with the dataset folders.
        data: the competition's folder; with a solution file the result is scored.
        budget: seconds.
        out: gets submission.csv, report.json, log.txt and rehearsal.json.
        targets: folder with descriptions of images; None: those of the kit.
        venvs: folder for simulated images.
        lock: versions for what the description of an image leaves open.
        pythons: versions of Python; the first one that is installed is taken.
        fresh: make the simulated image again.
        layout: of the mounts.
        archives: what Kaggle does to the datasets' archives.
        memory: bytes that all processes may have together; None: no limit.
        arguments: further arguments for predict.py.
    """

    predict: Path = field(metadata=option("the rendered script", metavar="FILE"))
    bundle: Path = field(metadata=option("folder with the dataset folders", metavar="DIR"))
    data: Path = field(metadata=option("the competition's folder", metavar="DIR"))
    budget: Annotated[float, above(0)] = field(
        default=DEFAULT_BUDGET, metadata=option("from start to end", metavar="SECONDS")
    )
    out: Path = field(metadata=option("for the submission and reports", metavar="DIR"))
    targets: Path | None = field(
        default=None,
        metadata=option("folder with descriptions of images (default: those of the kit)", metavar="DIR"),
    )
    venvs: Path = field(
        default_factory=lambda: _root() / "build" / "images",
        metadata=option("where images are kept", metavar="DIR"),
    )
    lock: Path = field(
        default_factory=lambda: _root() / "requirements.lock",
        metadata=option("pins what images leave open", metavar="FILE"),
    )
    pythons: tuple[str, ...] = field(
        default=PYTHONS,
        metadata=option(
            "version to use, may be repeated", flag="--python", repeat=True, choices=lambda: PYTHONS
        ),
    )
    fresh: bool = field(default=False, metadata=option("make the simulated image again"))
    layout: Layout = field(default="new", metadata=option("of the mounts"))
    archives: Archives = field(default="unpacked", metadata=option("what Kaggle does to archives"))
    memory: int | None = field(
        default=None,
        metadata=option(
            "memory of all processes together", flag="--memory-gb", metavar="NUMBER", read=_gigabytes
        ),
    )
    arguments: tuple[str, ...] = field(
        default=(),
        metadata=option("more arguments for predict.py", metavar="-- ARGUMENT", positional=True),
    )


def rehearse(settings: Settings) -> dict[str, Any]:
    """Rehearse one submission.

    Returns:
        What is also written to rehearsal.json: how it ran, what was enforced, validity, score.

    Raises:
        KitError: an input is missing. If predict.py itself fails, the result says so and nothing is raised.
    """
    for path, what in (
        (settings.predict, "predict.py"),
        (settings.data, "data folder"),
        (settings.bundle, "bundle"),
    ):
        if not path.exists():
            raise KitError(
                f"{what} is missing", where=path, fix="run the step that makes it, or correct the option"
            )
    version, python = find_python(settings.pythons)
    target = choose_target(settings.targets, version)
    image = make_image(target, python, settings.venvs.resolve(), settings.lock, fresh=settings.fresh)
    competition = _competition(settings.predict)
    settings.out.mkdir(parents=True, exist_ok=True)
    # The stage lies below `out`, not in /tmp: slides are hard-linked, which works only on one disk.
    stage = Path(tempfile.mkdtemp(prefix=".stage-", dir=settings.out.resolve()))
    try:
        return _rehearse(settings, image, competition, stage)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _rehearse(settings: Settings, image: Image, competition: Competition, stage: Path) -> dict[str, Any]:
    folders = {name: stage / name for name in ("input", "src", "working", "home", "tmp")}
    for folder in folders.values():
        folder.mkdir()
    datasets = sorted(path.parent for path in settings.bundle.glob("*/manifest.json"))
    changes = mount(
        folders["input"],
        settings.data,
        datasets,
        competition,
        layout=settings.layout,
        archives=settings.archives,
    )
    script = folders["src"] / "script.py"  # what Kaggle calls a script kernel's file
    shutil.copyfile(settings.predict, script)
    command = [
        str(image.python),
        str(script),
        "--input",
        str(folders["input"]),
        "--output",
        str(folders["working"]),
    ]
    ran, enforced = sandbox.run(
        [*command, "--budget", f"{settings.budget:g}", *settings.arguments],
        read_only=[folders["input"], folders["src"]],
        cwd=folders["working"],
        environment=_environment(image, folders["home"], folders["tmp"]),
        seconds=settings.budget,
        memory=settings.memory,
    )
    # First remove files of an earlier rehearsal: if predict.py writes none, they must not pass for its
    # result.
    for name in ("submission.csv", "report.json"):
        (settings.out / name).unlink(missing_ok=True)
        if (folders["working"] / name).is_file():
            shutil.copyfile(folders["working"] / name, settings.out / name)
    (settings.out / "log.txt").write_text(ran.text, encoding="utf-8")
    result: dict[str, Any] = {
        # A run that was killed because its time was up has no exit code.
        "exit_code": ran.code,
        "seconds": round(ran.seconds, 2),
        "in_time": ran.code is not None and ran.seconds <= settings.budget,
        "target": image.target,
        "python": image.version,
        "enforced": asdict(enforced),
        "mangled": changes,
        "extra_files": sorted(path.name for path in folders["working"].iterdir())[:20],
        **_judge(competition, settings.data, settings.out / "submission.csv"),
    }
    result["ok"] = result["exit_code"] == 0 and result["in_time"] and result["valid"]
    write_json(settings.out / "rehearsal.json", result)
    return result


def _environment(image: Image, home: Path, temporary: Path) -> dict[str, str]:
    """Return the variables for predict.py: none of this machine's but the path to the system's commands."""
    return {
        "PATH": os.pathsep.join([str(image.python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
    }


def _judge(competition: Competition, data: Path, submission: Path) -> dict[str, Any]:
    """Validate the submission, and score it if the data folder has the truth."""
    if not submission.is_file():
        return {"valid": False, "findings": ["error: no submission.csv was written"], "score": None}
    ids = competition.test_ids(data)
    sizes, _ = image_sizes(competition, data, ids)
    report, predictions = competition.inspect(submission, ids, guess_sizes(ids, sizes))
    result: dict[str, Any] = {
        "valid": report.ok,
        "findings": [str(finding) for finding in report.findings],
        "score": None,
    }
    try:
        truth = LabelledData(competition, data).truth(ids)
    except KitError as error:
        result["no_score"] = error.problem
        return result
    if report.ok:
        result["score"] = asdict(score(competition, truth, predictions))
    return result


def _competition(predict: Path) -> Competition:
    """Return the competition for which a script was rendered; the script itself says it."""
    import ast

    # The script holds one assignment for each embedded file: PARTS['ensemble.json'] = '''...'''. Read its
    # value without running the script.
    for node in ast.walk(ast.parse(predict.read_text(encoding="utf-8"), str(predict))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS['ensemble.json']":
            return of(ensembles.from_dict(json.loads(ast.literal_eval(node.value)), where=predict))
    raise KitError("this is not a rendered predict.py", where=predict, fix="run `render`")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run predict.py offline in a simulated Kaggle image."""

    settings: Settings
    json: bool = field(default=False, metadata=option("print the result as JSON"))


def run(options: Options) -> int:
    """Run the verb `rehearse`: rehearse and print what came out.

    Raises:
        KitError: the rehearsal could not start, or what it ran would have failed on Kaggle.
    """
    settings = options.settings
    result = rehearse(settings)
    print(json.dumps(result, indent=1) if options.json else _told(settings, result))
    if not result["ok"]:
        raise KitError(
            f"the rehearsal failed: exit code {result['exit_code']}, {result['seconds']:.0f} s, "
            f"{'valid' if result['valid'] else 'not valid'}",
            where=settings.out / "log.txt",
            fix="read its last lines; what fails here fails on Kaggle",
        )
    return 0


def _told(settings: Settings, result: dict[str, Any]) -> str:
    enforced = result["enforced"]
    offline = "no network, read-only input" if enforced["network"] else "NOT OFFLINE"
    score = result["score"]
    lines = [
        f"image       {result['target']}, Python {result['python']}; {offline}",
        *(f"            {text}" for text in enforced["missing"]),
        *([_memory_told(enforced)] if enforced["memory"] else []),
        f"time        {result['seconds']:.1f} s of {settings.budget:.0f} s",
        f"submission  {settings.out / 'submission.csv'}: {'valid' if result['valid'] else 'NOT VALID'}",
        *(f"            {text}" for text in result["findings"]),
        f"score       {score['metric']} {score['value']:.4f}"
        if score
        else "score       no truth to compare with",
    ]
    return "\n".join(lines)


def _memory_told(enforced: dict[str, Any]) -> str:
    killed = enforced["killed"]
    said = f"; {killed} processes were killed because it was used up" if killed else ""
    return f"memory      {enforced['memory'] / GIB:g} GB for {enforced['limited']}{said}"
