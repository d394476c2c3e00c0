"""`python -m submission rehearse-install`: install.py offline in a simulated image of each Python.

Each run has no network and a read-only input, laid out as Kaggle mounts the dataset: names changed, archives
unpacked, unpacked twice or left packed, in the new and the old folders.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from kit import manifest as manifests
from kit import requested as requests
from kit.artefacts import read_json, write_json
from kit.command_line import option
from kit.errors import KitError
from kit.local.console import console, results
from kit.local.interpreters import PYTHONS, find_python
from kit.local.offline import sandbox
from kit.local.offline.kaggle_shape import Archives, Layout, mount_dataset
from kit.local.offline.simulated_image import Image, choose_target, make_image
from kit.local.verbs import Verb
from kit.manifest import Manifest
from kit.requested import Requested
from submission.installer.render import NAME, dataset_in
from submission.modules import source_root
from submission.rehearsal.stage import image_environment

_WAYS: tuple[tuple[Layout, Archives], ...] = (("new", "unpacked"), ("old", "packed"), ("new", "doubled"))
"""Layouts of the mounts and what Kaggle did to archives; each is tried on each Python."""
_LIMIT = 1800.0
_FOLDERS = ("input", "src", "working", "home", "tmp")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Install a bundle of wheels offline in a simulated image of each Python, and import what was asked for.

    Attributes:
        bundle: folder that `bundle wheels` has made, with install.py.
        script: install.py; None: that of the bundle.
        out: for logs and rehearsal.json; None: `rehearsal` in the bundle's folder.
        pythons: versions to try; empty: all that the bundle serves and this machine has.
        targets: folder with descriptions of images; None: those of the kit.
        venvs: folder for simulated images.
        lock: versions for what the description of an image leaves open.
        layout: of the mounts; None: each.
        archives: what Kaggle does to archives; None: each.
        json: print the result for other programs.
    """

    bundle: Path = field(
        default=Path("dist/wheels"), metadata=option("folder that `bundle wheels` made", metavar="DIR")
    )
    script: Path | None = field(
        default=None, metadata=option("install.py (default: in the bundle)", metavar="FILE")
    )
    out: Path | None = field(
        default=None, metadata=option("for logs (default: rehearsal in the bundle)", metavar="DIR")
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
    targets: Path | None = field(
        default=None,
        metadata=option("folder with descriptions of images (default: those of the kit)", metavar="DIR"),
    )
    venvs: Path = field(
        default_factory=lambda: source_root() / "build" / "images",
        metadata=option("where images are kept", metavar="DIR"),
    )
    lock: Path = field(
        default_factory=lambda: source_root() / "requirements.lock",
        metadata=option("pins what images leave open", metavar="FILE"),
    )
    layout: Layout | None = field(default=None, metadata=option("of the mounts (default: each)"))
    archives: Archives | None = field(
        default=None, metadata=option("what Kaggle does to archives (default: each)")
    )
    json: bool = field(default=False, metadata=option("print the result as JSON"))


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What one installation came to.

    Attributes:
        python: "3.13.1".
        image: name of the simulated image.
        layout: of the mounts.
        archives: what was done to archives.
        installed: name -> version of what was installed.
        copies: distribution that was asked for -> its version, and whether it is "ours" or the "image's".
        shadowed: lines about copies of the image that ours stand in front of.
        seconds: that the first run took.
        again_s: that the second run took, which has nothing to do.
        problem: what went wrong; None if nothing did.
        log: file with all that was said.
        missing: what this machine did not enforce.
    """

    python: str
    image: str
    layout: str
    archives: str
    installed: dict[str, str]
    copies: dict[str, str]
    shadowed: list[str]
    seconds: float
    again_s: float
    problem: str | None
    log: str
    missing: list[str]


def rehearse(options: Options) -> tuple[list[Rehearsed], list[str]]:
    """Rehearse install.py on each Python and in each way.

    Returns:
        One value for each run, and the Pythons that the bundle serves and this machine does not have.

    Raises:
        KitError: an input is missing, or no Python of the bundle is installed. What fails inside an image is
            in the values.
    """
    dataset = dataset_in(options.bundle)
    script = options.script or options.bundle / NAME
    if not script.is_file():
        raise KitError(
            "install.py is missing",
            where=script,
            fix=f"run `python -m submission installer --bundle {options.bundle}`",
        )
    manifest = manifests.load(dataset / manifests.NAME)
    pythons, absent = _pythons(options, manifest)
    requested = requests.load(dataset / requests.NAME)
    out = (options.out or options.bundle / "rehearsal").resolve()
    out.mkdir(parents=True, exist_ok=True)
    done: list[Rehearsed] = []
    number = len(pythons) * len(_ways(options))
    for python in pythons:
        _, executable = find_python([python])
        target = choose_target(options.targets, python)
        image = make_image(target, executable, options.venvs.resolve(), options.lock)
        for way in _ways(options):
            told = f"{len(done) + 1} of {number}: Python {python}, {way[0]} mounts, archives {way[1]}"
            console().print(told, markup=False, highlight=False)
            stage = Path(tempfile.mkdtemp(prefix=".stage-", dir=out))
            scene = _Scene(dataset, script, requested, stage)
            try:
                done.append(_one(scene, image, way, out / f"log-{python}-{'-'.join(way)}.txt"))
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    write_json(out / "rehearsal.json", [asdict(item) for item in done])
    return done, absent


def _pythons(options: Options, manifest: Manifest) -> tuple[list[str], list[str]]:
    """Return the Pythons to try, and those that are served and not installed here."""
    served = [python for python in PYTHONS if f"cp{python.replace('.', '')}" in manifest.targets]
    if other := [python for python in options.pythons if python not in served]:
        raise KitError(
            f"the bundle serves {', '.join(manifest.targets)}, not Python {', '.join(other)}",
            where="--python",
            fix="leave it out, or build the bundle with that target",
        )
    if options.pythons:
        return list(options.pythons), []
    there, absent = [], []
    for python in served:
        try:
            find_python([python])
        except KitError:
            absent.append(python)
        else:
            there.append(python)
    if not there:
        find_python(absent)  # says how to install one
    return there, absent


def _ways(options: Options) -> list[tuple[Layout, Archives]]:
    """Return the layouts and states of archives to try."""
    if options.layout is not None and options.archives is not None:
        return [(options.layout, options.archives)]
    found = [(options.layout or layout, options.archives or archives) for layout, archives in _WAYS]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Scene:
    """The dataset, install.py, what is asked for, and an empty folder for one run."""

    dataset: Path
    script: Path
    requested: Requested
    stage: Path


def _one(scene: _Scene, image: Image, way: tuple[Layout, Archives], log: Path) -> Rehearsed:
    folders = {name: scene.stage / name for name in _FOLDERS}
    for folder in folders.values():
        folder.mkdir()
    mount_dataset(folders["input"], scene.dataset, layout=way[0], archives=way[1])
    shutil.copyfile(scene.script, folders["src"] / NAME)
    program, result = folders["src"] / "rehearsal_program.py", folders["working"] / "result.json"
    program.write_bytes((files("submission.installer") / "rehearsal_program.py").read_bytes())
    asked = scene.requested.on("cp" + "".join(image.version.split(".")[:2]))
    modules = sorted({module for item in asked for module in item.modules})
    command = [str(image.python), "-P", str(program), str(folders["src"] / NAME), str(folders["input"])]
    ran, enforced = sandbox.run(
        [*command, json.dumps(modules), str(result)],
        read_only=[folders["input"], folders["src"]],
        cwd=folders["working"],
        environment=image_environment(image.python, folders),
        seconds=_LIMIT,
    )
    log.write_text(ran.text, encoding="utf-8")
    told: dict[str, Any] = read_json(result) if result.is_file() else {}
    installed = {str(name): str(version) for name, version in told.get("installed", {}).items()}
    versions = {_plain(name): str(version) for name, version in told.get("versions", {}).items()}
    copies = {}
    for item in asked:
        whose = "ours" if item.name in installed else "of the image"
        copies[item.name] = f"{versions.get(_plain(item.name), 'absent')} {whose}"
    return Rehearsed(
        python=image.version,
        image=image.target,
        layout=way[0],
        archives=way[1],
        installed=installed,
        copies=copies,
        shadowed=sorted({line.strip() for line in ran.text.splitlines() if line.startswith("  shadowed ")}),
        seconds=round(float(told.get("seconds", ran.seconds)), 2),
        again_s=round(float(told.get("again_s", 0.0)), 2),
        problem=next(_problems(told, ran), None),
        log=str(log),
        missing=enforced.missing,
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _problems(told: dict[str, Any], ran: sandbox.Ran) -> Iterator[str]:
    """Yield what went wrong in a run."""
    if not told:
        yield f"the installation did not come to an end (exit code {ran.code})"
        return
    if told["error"] is not None:
        yield str(told["error"])
    for name, seen in told["modules"].items():
        if "failed" in seen:
            yield f"import {name}: {seen['failed']}"
    if told["again"] is not None:
        yield f"the second run: {told['again']}"


def run(options: Options) -> int:
    """Run the verb `rehearse-install`: rehearse, and print a table.

    Raises:
        KitError: an input is missing, or what was rehearsed would fail on Kaggle.
    """
    done, absent = rehearse(options)
    if options.json:
        print(json.dumps([asdict(item) for item in done], indent=1))
    else:
        _show(done, absent)
    if failed := [item for item in done if item.problem is not None]:
        first = failed[0]
        raise KitError(
            f"{len(failed)} of {len(done)} installations failed; on Python {first.python}, {first.layout} "
            f"mounts, archives {first.archives}: {first.problem}",
            where=first.log,
            fix="read the log; what fails here fails on Kaggle",
        )
    return 0


def _show(done: Sequence[Rehearsed], absent: Sequence[str]) -> None:
    screen = results()
    table = Table(title="install.py, offline", title_justify="left")
    for heading in ("Python", "image", "mounts", "archives", "wheels", "seconds", "again", "result"):
        table.add_column(heading, overflow="fold")
    for item in done:
        row = (item.python, item.image, item.layout, item.archives, str(len(item.installed)))
        times = (f"{item.seconds:.1f}", f"{item.again_s:.1f}")
        table.add_row(*map(escape, (*row, *times, item.problem or "all imported")))
    screen.print(table)
    newest = {item.python: item for item in done}
    names = sorted({name for item in done for name in item.copies})
    asked = Table(title="what was asked for, and whose copy is imported", title_justify="left")
    for heading in ("distribution", *newest):
        asked.add_column(heading, overflow="fold")
    for name in names:
        asked.add_row(
            *map(escape, (name, *(item.copies.get(name, "not asked for") for item in newest.values())))
        )
    screen.print(asked)
    for item in newest.values():
        for line in item.shadowed:
            screen.print(f"Python {item.python}: {line}", markup=False)
    for text in dict.fromkeys(text for item in done for text in item.missing):
        screen.print(f"NOT ENFORCED: {text}", markup=False)
    if absent:
        screen.print(f"NOT TRIED: Python {', '.join(absent)}, which this machine does not have")


VERB = Verb(
    "rehearse-install",
    Options,
    run,
    "on this machine",
    ("rehearse-install --bundle dist/wheels --python 3.13",),
    "simulated images that are whole are kept",
)
"""`rehearse-install [--bundle DIR] [--python 3.13]`."""
