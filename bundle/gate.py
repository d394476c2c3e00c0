"""`python -m bundle gate`: is the bundle enough? Install it alone, offline, on each Python, and try it.

For each Python there is an environment with torch, torchvision and numpy, which every image has, and with
nothing else of ours or of Kaggle's. The wheels come from the dataset as Kaggle mounts it, through its own
`pylock.toml`. Then, without a network, every module that predict.py may carry and every shipped package is
imported, and a small network of each family predicts an image. What the lock's closure forgot shows here and
not in a submission. Of a bundle of wheels alone, what it was asked for is imported, and no network is run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.table import Table

from bundle import pylock, verify
from kit import ensemble as ensembles
from kit import manifest, requested
from kit.artefacts import read_json, sha256_json, write_json
from kit.command_line import option
from kit.errors import KitError
from kit.local.console import results, working
from kit.local.dataset_folders import ENSEMBLE, competitions_of, is_alone
from kit.local.interpreters import find_python
from kit.local.lockfile import PYTHONS
from kit.local.offline import sandbox
from kit.local.offline.kaggle_shape import mount_dataset
from kit.local.offline.simulated_image import Image, make_image
from kit.local.targets import Target, known
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.local.verbs import Verb

_LIMIT = 1800.0
"""Seconds for all imports and networks on one Python; a slow laptop needs one or two hundred."""
_SHOWN = 8
_LARGEST_SIDE = 512
"""Pixels of the image that a model of one's own is run on, at most."""
_MISSING = "name what is missing in bundle/roots.py (and requirements.in), lock again and build again"
_MISSING_ALONE = "add what is missing to the requirements file and build again"


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the gate saw on one Python.

    Attributes:
        python: "3.13.1".
        target: the image whose torch was used.
        distributions: how many were installed from the dataset.
        megabytes: of the installed files.
        install_s: seconds that uv took.
        modules: how many were imported.
        networks: names of the networks that predicted.
        compiled: operators of mmcv that ran compiled and gave the portable ones' numbers.
        told: why portable ones ran in place of compiled ones; empty, too, if the bundle has none.
        try_s: seconds of imports and networks.
        offline: whether the network was really cut off.
        missing: what this machine did not enforce.
    """

    python: str
    target: str
    distributions: int
    megabytes: float
    install_s: float
    modules: int
    networks: list[str]
    compiled: list[str]
    told: list[str]
    try_s: float
    offline: bool
    missing: list[str]


def gate(bundle: Path, pythons: Sequence[str], *, images: Path, lock: Path) -> list[Gate]:
    """Try a bundle on some Pythons.

    Args:
        bundle: folder of datasets, one of which has a `pylock.toml`; or this one.
        pythons: e.g. ["3.13"]; each has to be installed.
        images: where the bare environments are kept.
        lock: `requirements.lock`, for the versions of what the environments get.

    Raises:
        KitError: there is no dataset of wheels or there are several, a Python is not installed, or the bundle
            is not enough for one of them; the message names what cannot be imported.
    """
    dataset, *others = _wheels(bundle)
    if others:
        raise KitError(
            f"there are {1 + len(others)} datasets of wheels: "
            f"{', '.join(folder.name for folder in (dataset, *others))}",
            where=bundle,
            fix="name the folder of one",
        )
    _require_served(dataset, pythons)
    return [_gate(dataset, python, images=images, lock=lock) for python in pythons]


def _require_served(dataset: Path, pythons: Sequence[str]) -> None:
    tags = manifest.load(dataset / manifest.NAME).targets
    for python in pythons:
        if (tag := "cp" + python.replace(".", "")) not in tags:
            raise KitError(
                f"the bundle was not built for Python {python}: it serves {', '.join(tags)}",
                where=dataset,
                fix=f"build it with `--target {tag}`, or leave out `--python {python}`",
            )


def _wheels(bundle: Path) -> list[Path]:
    """Return the datasets that have a `pylock.toml`: one, or those of several competitions."""
    paths = [*bundle.glob(f"*/{pylock.NAME}"), *bundle.glob(pylock.NAME)]
    found = sorted(path.parent for path in paths)
    if not found:
        raise KitError(
            "there is no dataset of wheels in the bundle", where=bundle, fix="run `python -m bundle build`"
        )
    return found


def _gate(dataset: Path, python: str, *, images: Path, lock: Path) -> Gate:
    _, executable = find_python([python])
    target = _image_of(python, known())
    with working(f"Python {python}: its environment"):
        image = make_image(bare(target), executable, images.resolve(), lock)
    with tempfile.TemporaryDirectory(prefix="gate-", dir=image.python.parents[2]) as name:
        stage = Path(name)
        mounted, _ = mount_dataset(stage / "input", dataset)
        site = stage / "site"
        with working(f"Python {python}: verify and install the wheels"):
            _verify(image, mounted)
            began = time.monotonic()
            _install(image, mounted / pylock.NAME, site)
            install_s = time.monotonic() - began
        with working(f"Python {python}: import all of it, and a network of each family"):
            own = [] if is_alone(dataset) else own_models(dataset.parent, competitions_of(dataset))
            seen, ran, enforced = tried(image, stage, site, mounted, own)
        size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
        distributions = len(list(site.glob("*.dist-info")))
    if failed := seen["failed"]:
        listed = "\n".join(f"  {name}: {reason}" for name, reason in list(failed.items())[:_SHOWN])
        more = f"\n  and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        raise KitError(
            f"on Python {seen['python']} the bundle alone is not enough:\n{listed}{more}",
            where=dataset,
            fix=_MISSING if seen["networks"] is not None else _MISSING_ALONE,
        )
    return Gate(
        python=seen["python"],
        target=target.name,
        distributions=distributions,
        megabytes=size / 1e6,
        install_s=install_s,
        modules=seen["modules"],
        networks=seen["networks"] or [],
        compiled=seen["compiled"],
        told=seen["told"],
        try_s=ran.seconds,
        offline=enforced.network,
        missing=enforced.missing,
    )


def _image_of(python: str, targets: Sequence[Target]) -> Target:
    """Return the newest Kaggle image with some Python; one of this machine says nothing of Kaggle's torch."""
    found = [target for target in targets if target.minor == python and target.accelerator is not None]
    if not found:
        raise KitError(
            f"no Kaggle image with Python {python} is known, so nobody knows which torch it has",
            where="--python",
            fix="leave it out; or run `probe` on Kaggle, if there is such an image now",
        )
    return max(found, key=lambda target: (target.since, target.accelerator == "gpu", target.name))


def bare(target: Target) -> Target:
    """Return a target that has only what no bundle ships: torch, torchvision, numpy and what these need."""
    kept = {name: version for name, version in target.image_has.items() if target.leaves_to_image(name)}
    return replace(target, name=f"bare-{target.name}", image_has=kept)


def _verify(image: Image, mounted: Path) -> None:
    done = _run([str(image.python), str(mounted / verify.NAME)])
    if done.returncode != 0:
        raise KitError(
            f"the dataset is not what its manifest says:\n{(done.stdout + done.stderr).strip()}",
            where=mounted,
            fix="run `python -m bundle build` again",
        )


def _install(image: Image, lock: Path, site: Path) -> None:
    command = [find_uv(), "pip", "install", "--quiet", "--no-index", "--offline", "--no-config"]
    command += ["--python", str(image.python), "--target", str(site), "--requirement", str(lock)]
    done = _run(command)
    if done.returncode != 0:
        raise KitError(
            f"uv cannot install the wheels from {pylock.NAME}: {done.stderr.strip()[-800:]}",
            where=lock,
            fix="run `python -m bundle build` again; if it stays, a wheel does not fit its Python tag",
        )


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=tool_environment(), capture_output=True, text=True, check=False)


def own_models(bundle: Path, competitions: Collection[str] = ()) -> list[dict[str, Any]]:
    """Return the models of one's own in the ensembles of a bundle: network and side of its input.

    Args:
        bundle: folder with dataset folders.
        competitions: of the ensembles that are looked at; all if empty.
    """
    from kit.inference.values_settings import VALUES_SIDE
    from kit.local import own_sources
    from kit.local.forward_check import inputs_of  # loads torch, which --help does not need

    found: dict[str, dict[str, Any]] = {}
    for path in sorted(bundle.glob(f"*/{ENSEMBLE}")):
        ensemble = ensembles.load(path)
        served = not competitions or ensemble.competition in competitions
        for member in own_sources.own_members(ensemble) if served else ():
            kind = str(member.network.get("kind"))
            [inputs, *_] = inputs_of(member, (1.0,), member.name)
            side = min(_LARGEST_SIDE, VALUES_SIDE if kind == "values" else inputs.height)
            own = {"network": member.network, "side": side}
            found.setdefault(sha256_json(own), own)
    return list(found.values())


def tried(
    image: Image, stage: Path, site: Path, mounted: Path, own: list[dict[str, Any]]
) -> tuple[dict[str, Any], sandbox.Ran, sandbox.Enforced]:
    """Run the program of the gate in the image, without a network.

    What it prints is shown only if something failed: old libraries print dozens of warnings about one another
    when they are imported, and of a bundle that works nobody has to do anything about them.

    Args:
        image: with the Python that runs it.
        stage: folder for its files.
        site: where the wheels were installed.
        mounted: the dataset they came from.
        own: models of one's own, as of `own_models`.

    Returns:
        What was tried and what failed, as of `bundle.gate_program.main`; how it ran; what was enforced.

    Raises:
        KitError: it did not come to an end.
    """
    folders = {name: stage / name for name in ("code", "home", "tmp")}
    for folder in folders.values():
        folder.mkdir()
    wanted = _asked_modules(mounted, image)
    if wanted is None:
        _copy_code(folders["code"])
    program, result = stage / "gate_program.py", stage / "result.json"
    if own:
        write_json(stage / "own.json", own)
    program.write_bytes((files("bundle") / "gate_program.py").read_bytes())
    ran, enforced = sandbox.run(
        [
            *(str(image.python), "-P", "-s", "-B"),
            *map(str, (program, site, folders["code"], result)),
            *([] if wanted is None else [json.dumps(wanted)]),
        ],
        read_only=[mounted],
        cwd=folders["tmp"],
        environment={
            "PATH": os.pathsep.join([str(image.python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(folders["home"]),
            "TMPDIR": str(folders["tmp"]),
            "LANG": "C.UTF-8",
            # albumentations would ask the index for its newest version, in vain, and print that it failed.
            "NO_ALBUMENTATIONS_UPDATE": "1",
        },
        seconds=_LIMIT,
        shown=False,
    )
    seen = read_json(result) if result.is_file() else None
    if seen is None or seen["failed"]:
        sys.stderr.write(ran.text)
    if seen is None:
        raise KitError(
            f"the imports did not come to an end (exit code {ran.code}): {ran.text.strip()[-800:]}",
            where=image.python,
            fix="import the modules named there by hand in this environment",
        )
    return seen, ran, enforced


def _asked_modules(mounted: Path, image: Image) -> list[str] | None:
    """Return what a bundle of wheels alone was asked for, as `import` names it; None for one with weights."""
    path = mounted / requested.NAME
    if not path.is_file():
        return None
    asked = requested.load(path).on("cp" + "".join(image.version.split(".")[:2]))
    return sorted({module for item in asked for module in item.modules})


def _copy_code(to: Path) -> None:
    """Copy the modules that predict.py may carry."""
    root = Path(str(files("kit"))).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "kit", to / "kit", ignore=ignore)
    shutil.rmtree(to / "kit" / "local")  # it never reaches Kaggle
    shutil.copytree(root / "submission" / "runtime", to / "submission" / "runtime", ignore=ignore)
    (to / "submission" / "__init__.py").touch()


@dataclass(frozen=True, kw_only=True)
class Options:
    """Install a bundle alone, offline, on each Python, and import and run everything that inference needs.

    Attributes:
        bundle: folder with the dataset folders.
        pythons: versions to try; empty: all that the bundle serves and this machine has.
        images: where the bare environments are kept.
        lock: versions of what they get.
        json: print the result for other programs.
    """

    bundle: Path = field(
        metadata=option("folder with the dataset folders, or the one with wheels", metavar="DIR")
    )
    pythons: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "version to try, may be repeated (default: all that are installed)",
            flag="--python",
            repeat=True,
            choices=lambda: PYTHONS,
        ),
    )
    images: Path = field(
        default=Path("build/images"), metadata=option("where environments are kept", metavar="DIR")
    )
    lock: Path = field(default=Path("requirements.lock"), metadata=option("pinned versions", metavar="FILE"))
    json: bool = field(default=False, metadata=option("print the result as JSON"))


def run(options: Options) -> int:
    """Run the verb `gate`: try the bundle and print what was seen on each Python.

    Raises:
        KitError: as `gate`, or no Python of the bundle is installed here.
    """
    # Datasets of several competitions in one folder are tried one after the other, as `upload` sends them.
    # What a try would need and is not there is told before the first one, which takes minutes.
    chosen = {dataset: _pythons(options, dataset) for dataset in _wheels(options.bundle)}
    seen = {
        dataset.name: gate(dataset, pythons, images=options.images, lock=options.lock)
        for dataset, (pythons, _) in chosen.items()
    }
    if options.json:
        told = [{"dataset": name, **vars(item)} for name, tries in seen.items() for item in tries]
        print(json.dumps(told, indent=1))
        return 0
    for dataset, (_, absent) in chosen.items():
        _show(dataset.name, seen[dataset.name], absent)
    return 0


def _pythons(options: Options, dataset: Path) -> tuple[list[str], list[str]]:
    """Return on which Pythons a dataset is tried, and which of those it serves this machine lacks."""
    if options.pythons:
        _require_served(dataset, options.pythons)
        return list(options.pythons), []
    tags = manifest.load(dataset / manifest.NAME).targets
    served = [python for python in PYTHONS if "cp" + python.replace(".", "") in tags]
    absent = [python for python in served if not _installed(python)]
    if len(absent) == len(served):
        find_python(absent)
    return [python for python in served if python not in absent], absent


def _show(name: str, seen: Sequence[Gate], absent: Sequence[str]) -> None:
    table = Table(title=f"{name} alone, offline", title_justify="left")
    for heading in ("Python", "torch of", "wheels", "MB", "installed in", "modules", "networks", "tried in"):
        table.add_column(heading, justify="right", overflow="fold")
    for item in seen:
        row = (item.python, item.target, str(item.distributions), f"{item.megabytes:.0f}")
        times = (f"{item.install_s:.1f} s", str(item.modules), str(len(item.networks)), f"{item.try_s:.1f} s")
        table.add_row(*row, *times)
    screen = results()
    screen.print(table)
    for item in seen:
        if item.compiled:
            screen.print(f"Python {item.python}: compiled mmcv operators run: {', '.join(item.compiled)}")
        for text in item.told:
            screen.print(f"Python {item.python}: {text}", markup=False)
    for text in dict.fromkeys(text for item in seen for text in item.missing):
        screen.print(f"NOT ENFORCED: {text}")
    if absent:
        screen.print(f"NOT TRIED: Python {', '.join(absent)}, which this machine does not have")


def _installed(python: str) -> bool:
    try:
        find_python([python])
    except KitError:
        return False
    return True


VERB = Verb(
    "gate",
    Options,
    run,
    "datasets",
    ("gate --bundle dist/kidney/bundle", "gate --bundle dist/kidney/bundle --python 3.13 --json"),
    "environments that are whole are kept",
)
"""`gate --bundle DIR [--python 3.13]`."""
