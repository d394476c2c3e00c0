"""Runs predict.py offline as Kaggle would, before it costs a submission, and checks and scores the result."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from kit.artefacts import read_json, write_json
from kit.command_line import option
from kit.competitions import of
from kit.competitions.report import Report
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.interpreters import PYTHONS, find_python
from kit.local.offline.faults import catalogue
from kit.local.offline.faults.catalogue import Fault
from kit.local.offline.faults.scene import Scene
from kit.local.offline.file_server import Mount
from kit.local.offline.kaggle_shape import Archives, Layout
from kit.local.offline.sandbox import Machine
from kit.local.offline.simulated_image import Image, choose_target, make_image
from kit.local.wording import counted
from kit.typed_json import above, at_least
from submission.rehearsal.script_parts import budget_of, ensemble_of
from submission.rehearsal.served import served_target
from submission.rehearsal.stage import Play, play, result_name
from submission.rehearsal.verdict import told, verdict

if TYPE_CHECKING:
    from kit.competitions.competition import Competition  # needs numpy, which `--help` does without

GIB = 1 << 30
Chosen = tuple[list[Fault], Scene | None]
"""Faults, and what they change."""
CORES, MEMORY, WORKING, SCRATCH = 4, 29 * GIB, 20 * GIB, 60 * GIB
"""Kaggle's machine: processors, and bytes of memory, of /kaggle/working and of the scratch disk."""
_LIST, _RANDOM = "list", "random"
_RESULT = "rehearsal.json"


def _gigabytes(text: str) -> int:
    """Bytes of a number of gigabytes."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # Less than a byte is no size, and a disk of zero bytes would have no limit at all.
    if not (math.isfinite(number) and number * GIB >= 1):
        raise KitError("it is no size", fix="write a number of gigabytes above 0")
    return int(number * GIB)


def _root() -> Path:
    return Path(str(files("submission"))).parent


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to rehearse.

    Attributes:
        predict: the rendered script.
        bundle: folder with the dataset folders.
        data: the competition's folder; with a solution file the result is scored.
        budget: seconds; None: those that the script was rendered with.
        out: gets submission.csv, report.json, log.txt and rehearsal.json; those of an earlier rehearsal stay
            until these are complete.
        targets: folder with descriptions of images; None: those of the kit.
        venvs: folder for simulated images.
        lock: versions for what the description of an image leaves open.
        pythons: versions of Python; the first one that is installed is taken.
        fresh: make the simulated image again.
        layout: of the mounts.
        archives: what Kaggle does to the datasets' archives.
        memory: bytes that all processes may have together.
        cores: processors that they may use.
        working: bytes of the output disk.
        scratch: bytes of the disk for temporary files.
        slow_down: how many times slower than this machine the rehearsal's is.
        mount_speed: MB/s of each stream of the mounts; None: as fast as the disk here.
        faults: names of faults; "random": drawn; "list": they are printed, and nothing is run.
        seed: of what is drawn.
        arguments: further arguments for predict.py.
    """

    predict: Path = field(metadata=option("the rendered script", metavar="FILE"))
    bundle: Path = field(metadata=option("folder with the dataset folders", metavar="DIR"))
    data: Path = field(metadata=option("the competition's folder", metavar="DIR"))
    budget: Annotated[float, above(0)] | None = field(
        default=None,
        metadata=option(
            "from start to end (default: that which predict.py was rendered with)", metavar="SECONDS"
        ),
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
    memory: int = field(
        default_factory=lambda: MEMORY,
        metadata=option(
            "memory of all processes together (default: 29)",
            flag="--memory-gb",
            metavar="NUMBER",
            read=_gigabytes,
        ),
    )
    cores: Annotated[int, at_least(1)] = field(
        default=CORES, metadata=option("processors that predict.py may use", metavar="NUMBER")
    )
    working: int = field(
        default_factory=lambda: WORKING,
        metadata=option(
            "size of /kaggle/working (default: 20)", flag="--working-gb", metavar="NUMBER", read=_gigabytes
        ),
    )
    scratch: int = field(
        default_factory=lambda: SCRATCH,
        metadata=option(
            "size of the disk for temporary files (default: 60)",
            flag="--scratch-gb",
            metavar="NUMBER",
            read=_gigabytes,
        ),
    )
    slow_down: Annotated[float, at_least(1)] = field(
        default=1.0, metadata=option("the machine is so many times slower", metavar="FACTOR")
    )
    mount_speed: Annotated[float, above(0)] | None = field(
        default=None,
        metadata=option("of each stream of the mounts", flag="--mount-mb-per-second", metavar="NUMBER"),
    )
    faults: tuple[str, ...] = field(
        default=(),
        metadata=option(
            "faults that strike, by name; `list` prints them, `random` draws some",
            metavar="NAME",
            names=lambda: [_LIST, _RANDOM, *(fault.name for fault in catalogue.FAULTS)],
        ),
    )
    seed: Annotated[int, at_least(0)] = field(
        default=0, metadata=option("of what is drawn for faults", metavar="NUMBER")
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
    chosen = _chosen(settings)
    version, python = find_python(settings.pythons)
    target, ensemble = choose_target(settings.targets, version), ensemble_of(settings.predict)
    _require_data(of(ensemble), settings.data)
    if of(ensemble).format.server is not None:
        target = served_target(target)
    image = make_image(target, python, settings.venvs.resolve(), settings.lock, fresh=settings.fresh)
    settings.out.mkdir(parents=True, exist_ok=True)
    # The stage lies below `out`, not in /tmp: slides are hard-linked, which works only on one disk.
    stage = Path(tempfile.mkdtemp(prefix=".stage-", dir=settings.out.resolve()))
    try:
        return _rehearse(settings, image, ensemble, stage, chosen)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _require_data(competition: Competition, data: Path) -> None:
    """Refuse a folder of another competition, which a run would tell only at its end."""
    report = Report(str(data))
    # What a gateway serves may lie in any folder.
    if competition.format.server is None and not competition.check_folder(report, data):
        first = next(finding for finding in report.findings if finding.level == "error")
        fix = f"predict.py was rendered for {competition.slug}: give the folder of its data with --data"
        raise KitError(first.message, where=data, fix=fix)


def _chosen(settings: Settings) -> Chosen:
    """Return the faults that were asked for, and what they change."""
    if settings.faults == (_RANDOM,):
        return catalogue.schedule(settings.seed)
    if alone := {_LIST, _RANDOM} & {*settings.faults}:
        problem = f"`{alone.pop()}` stands alone"
        raise KitError(problem, where="--faults", fix="name faults, or write it alone")
    faults = catalogue.named(settings.faults)
    draw = random.Random(settings.seed)
    return faults, catalogue.scene_of(faults, draw) if faults else None


def _rehearse(
    settings: Settings, image: Image, ensemble: Ensemble, stage: Path, chosen: Chosen
) -> dict[str, Any]:
    from submission.rehearsal.judge import judge  # imports numpy

    faults, scene = chosen
    competition = of(ensemble)
    budget = budget_of(settings.predict) if settings.budget is None else settings.budget
    piece = Play(
        predict=settings.predict,
        bundle=settings.bundle,
        data=settings.data,
        ensemble=ensemble,
        competition=competition,
        python=image.python,
        budget=budget,
        layout=settings.layout,
        archives=settings.archives,
        arguments=settings.arguments,
        machine=Machine(
            memory=settings.memory,
            cores=settings.cores,
            slow_down=settings.slow_down,
            mount=Mount(megabytes_per_s=settings.mount_speed or 0.0),
        ),
        working=settings.working,
        scratch=settings.scratch,
        scene=scene,
    )
    new = stage / "result"
    played = play(piece, stage, new)
    ran = played.ran
    result: dict[str, Any] = {
        # A run that was killed because its time was up has no exit code.
        "exit_code": ran.code,
        "seconds": round(ran.seconds, 2),
        "budget": budget,
        "in_time": ran.code is not None and ran.seconds <= budget,
        "target": image.target,
        "python": image.version,
        "enforced": asdict(played.enforced),
        "mangled": played.changes,
        "extra_files": played.left[:20],
        "faults": [fault.name for fault in faults],
        "seed": settings.seed,
        "struck": played.struck,
        "file": result_name(competition),
        **judge(competition, played.data, new / result_name(competition), settings.data),
    }
    report = new / "report.json"
    told_there = read_json(report) if report.is_file() else None
    result["verdict"] = verdict(result, told_there, ensemble, sign=of(ensemble).format.metric.sign)
    fine = result["in_time"] and result["valid"] and not played.enforced.overfull
    result["ok"] = fine and result["exit_code"] == 0
    write_json(new / _RESULT, result)
    _replace(new, settings.out, result["file"])
    return result


def _replace(new: Path, out: Path, file: str) -> None:
    """Put a complete result in the place of an earlier one."""
    # rehearsal.json goes first and comes last: a kill in between leaves none that is of other files.
    for name in (_RESULT, "report.html"):
        (out / name).unlink(missing_ok=True)
    for name in (file, "report.json", "log.txt", _RESULT):
        if (new / name).is_file():
            (new / name).replace(out / name)
        else:
            (out / name).unlink(missing_ok=True)


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
    if settings.faults == (_LIST,):
        print(catalogue.as_text())
        return 0
    result = rehearse(settings)
    _write_page(settings.out / "report.json")
    print(json.dumps(result, indent=1) if options.json else _told(settings, result))
    if not result["ok"]:
        raise KitError(
            f"the rehearsal failed: exit code {result['exit_code']}, {result['seconds']:.0f} s, "
            f"{'valid' if result['valid'] else 'not valid'}",
            where=settings.out / "log.txt",
            fix="read its last lines; what fails here fails on Kaggle",
        )
    return 0


def _write_page(report: Path) -> None:
    """Write report.html beside the report; a report that a fault has cut off is told and has no page."""
    from submission.report.run_page import write_run_page  # imports matplotlib

    page = report.with_suffix(".html")
    page.unlink(missing_ok=True)
    try:
        write_run_page(report, page)
    except KitError as error:
        print(f"no page of the run: {error}", file=sys.stderr)


def _told(settings: Settings, result: dict[str, Any]) -> str:
    enforced, ensemble = result["enforced"], ensemble_of(settings.predict)
    offline = "no network, read-only input" if enforced["network"] else "NOT OFFLINE"
    faults = (
        f"{', '.join(result['faults'])} (seed {result['seed']}); {len(result['struck'])} struck in a process"
    )
    lines = [
        f"image       {result['target']}, Python {result['python']}; {offline}",
        *(f"            {text}" for text in enforced["missing"]),
        f"machine     {_machine_told(enforced)}",
        *([_memory_told(enforced)] if enforced["memory"] else []),
        *(_disk_told(name, disk) for name, disk in enforced["disks"].items()),
        *([f"faults      {faults}"] if result["faults"] else []),
        f"time        {result['seconds']:.1f} s of {result['budget']:.0f} s",
        f"submission  {settings.out / result['file']}: {'valid' if result['valid'] else 'NOT VALID'}",
        *(f"            {text}" for text in result["findings"]),
        *_score_told(result),
        *([f"page        {page}"] if (page := settings.out / "report.html").is_file() else []),
        *told(result["verdict"], len(ensemble.rungs)),
    ]
    return "\n".join(lines)


def _score_told(result: dict[str, Any]) -> list[str]:
    if (score := result["score"]) is not None:
        return [f"score       {score['metric']} {score['value']:.4f}"]
    first, *more = result["no_score"]
    return [f"score       none: {first}", *(f"            {text}" for text in more if text)]


def _machine_told(enforced: dict[str, Any]) -> str:
    cores = "all cores" if enforced["cores"] is None else counted(enforced["cores"], "core")
    slower = f", {enforced['slow_down']:g} times slower" if enforced["slow_down"] > 1 else ""
    return cores + slower + (f", input: {enforced['mount']}" if enforced["mount"] else "")


def _memory_told(enforced: dict[str, Any]) -> str:
    killed, most = enforced["killed"], enforced["most_memory"]
    used = f"{most / GIB:.1f} of " if most is not None else ""
    said = (
        f"; {counted(killed, 'process', plural='processes')} killed because it was used up" if killed else ""
    )
    return f"memory      {used}{enforced['memory'] / GIB:g} GB for {enforced['limited']}{said}"


def _disk_told(name: str, disk: dict[str, Any]) -> str:
    how = "more is refused" if disk["refused"] else "watched"
    return f"{name:<11} {disk['most'] / GIB:.2f} of {disk['size'] / GIB:g} GB; {how}"
