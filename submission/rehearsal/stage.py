"""The stage of a rehearsal: mounts, machine and faults are set up, and predict.py is run on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.competitions.folder import CompetitionFolder
from kit.competitions.server import SUBMISSION
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.dataset_folders import folders_for
from kit.local.offline import sandbox
from kit.local.offline.faults.hidden_set import change_hidden_set
from kit.local.offline.faults.scene import Scene, struck
from kit.local.offline.faults.weights import spoil
from kit.local.offline.kaggle_shape import Archives, Layout, mount_competition, mount_dataset
from submission.rehearsal.script_parts import with_weights
from submission.rehearsal.served import take_submission, with_loopback

if TYPE_CHECKING:
    from kit.competitions.competition import Competition  # needs numpy, which `--help` does without

_FOLDERS = ("input", "src", "working", "home", "tmp")
_CSV, _REPORT = "submission.csv", "report.json"


def result_name(competition: CompetitionFolder) -> str:
    """Return the name of a rehearsal's submission; what a gateway wrote becomes a CSV."""
    return _CSV if competition.format.server is not None else competition.format.submission.file


@dataclass(frozen=True, kw_only=True)
class Play:
    """What is put on the stage.

    Attributes:
        predict: the rendered script.
        bundle: folder with the dataset folders.
        data: the competition's folder.
        ensemble: of the script.
        competition: of the ensemble.
        python: interpreter of the image.
        budget: seconds.
        layout: of the mounts.
        archives: what Kaggle does to the datasets' archives.
        arguments: further arguments for predict.py.
        machine: what it runs on; its disks and its served folder are added here.
        working: bytes of the output disk; None: no limit.
        scratch: bytes of the scratch disk; None: no limit.
        scene: the faults.
        environment: further variables.
    """

    predict: Path
    bundle: Path
    data: Path
    ensemble: Ensemble
    competition: Competition
    python: Path
    budget: float
    layout: Layout = "new"
    archives: Archives = "unpacked"
    arguments: tuple[str, ...] = ()
    machine: sandbox.Machine = field(default_factory=sandbox.Machine)
    working: int | None = None
    scratch: int | None = None
    scene: Scene | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came of it.

    Attributes:
        ran: how predict.py ended.
        enforced: what held for it.
        changes: a sentence for each file that Kaggle would change.
        data: the competition's folder as predict.py saw it.
        left: names of the files in the output folder.
        struck: faults that struck through the image's hook, each time they did.
    """

    ran: sandbox.Ran
    enforced: sandbox.Enforced
    changes: list[str]
    data: Path
    left: list[str]
    struck: list[str]


def play(piece: Play, stage: Path, out: Path) -> Played:
    """Run predict.py, and copy what it wrote.

    Args:
        piece: what to play.
        stage: an empty folder on the disk of the data, as large files are linked.
        out: gets submission.csv, report.json and log.txt; those of an earlier run are removed first.

    Raises:
        KitError: a fault cannot be made here.
    """
    folders = {name: stage / name for name in _FOLDERS}
    for folder in folders.values():
        folder.mkdir()
    changes: list[str] = []
    data = mount_competition(folders["input"], piece.data, piece.competition, layout=piece.layout)
    # What lies beside it for other competitions is not attached on Kaggle, so it must not help here.
    for folder in folders_for(piece.bundle, piece.ensemble.competition):
        layout, archives = piece.layout, piece.archives
        changes += mount_dataset(folders["input"], folder, layout=layout, archives=archives)[1]
    script = folders["src"] / "script.py"  # what Kaggle calls a script kernel's file
    shutil.copyfile(piece.predict, script)
    machine, variables = piece.machine, dict(piece.environment)
    sizes = {"working": piece.working, "scratch": piece.scratch}
    hooks = stage / "hooks"
    if (scene := piece.scene) is not None:
        _need(scene, stage)
        for change in scene.hidden:
            change_hidden_set(data, piece.competition, change)
        _spoil(scene, piece.ensemble, folders["input"], script)
        variables |= scene.write_hook(hooks, {"working": folders["working"], "scratch": folders["tmp"]})
        sizes |= scene.full
        machine = replace(
            machine,
            mount=machine.mount if scene.mount.plain else scene.mount,
            slow_down=machine.slow_down * scene.slow_down,
            closed=scene.closed,
        )
    limits = [
        sandbox.Limit("working", folders["working"], sizes["working"] or 0, keep=True),
        sandbox.Limit("scratch", folders["tmp"], sizes["scratch"] or 0, keep=False),
    ]
    machine = replace(machine, disks=tuple(limit for limit in limits if limit.size), served=folders["input"])
    served = piece.competition.format.server is not None
    command = _command(piece, script, folders)
    ran, enforced = sandbox.run(
        with_loopback(command) if served else command,
        read_only=[folders["input"], folders["src"]],
        cwd=folders["working"],
        environment=image_environment(piece.python, folders) | variables,
        seconds=piece.budget,
        machine=machine,
    )
    working = sandbox.contents(limits[0])
    out.mkdir(parents=True, exist_ok=True)
    # First remove files of an earlier rehearsal: if predict.py writes none, they must not pass for its
    # result.
    file = result_name(piece.competition)
    for name in (file, _REPORT):
        (out / name).unlink(missing_ok=True)
        if (working / name).is_file():
            shutil.copyfile(working / name, out / name)
    (out / "log.txt").write_text(ran.text, encoding="utf-8")
    if served and (working / SUBMISSION).is_file():  # the gateway wrote it
        take_submission(working / SUBMISSION, out / file, piece.competition)
    return Played(
        ran=ran,
        enforced=enforced,
        changes=changes,
        data=data,
        left=sorted(path.name for path in working.iterdir()),
        struck=struck(hooks) if hooks.is_dir() else [],
    )


def _spoil(scene: Scene, ensemble: Ensemble, root: Path, script: Path) -> None:
    """Spoil the weights of as many members as there are such faults, each of another one."""
    spoilt: set[str] = set()
    # Weights that are copied to another member must not be spoilt ones: that comes first.
    for change in sorted(scene.weights, key=lambda change: change != "identical"):
        replaced = spoil(root, ensemble, change, scene.draw.randrange(1 << 16), spoilt)
        spoilt.add(replaced.member)
        script.write_text(with_weights(script, replaced), encoding="utf-8")


def _need(scene: Scene, stage: Path) -> None:
    works, reason = sandbox.possible(stage)
    if scene.needs_namespaces and not works:
        raise KitError(
            f"full disks and difficult mounts cannot be made here: {reason}",
            where="--faults",
            fix="leave them out, or run as a user who may make namespaces",
        )


def _command(piece: Play, script: Path, folders: dict[str, Path]) -> Sequence[str]:
    places = ("--input", str(folders["input"]), "--output", str(folders["working"]))
    budget = ("--budget", f"{piece.budget:g}")
    return [str(piece.python), str(script), *places, *budget, *piece.arguments]


def image_environment(python: Path, folders: dict[str, Path]) -> dict[str, str]:
    """Return the variables of a program in an image: of this machine's, only the path to its commands."""
    return {
        "PATH": os.pathsep.join([str(python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(folders["home"]),
        "TMPDIR": str(folders["tmp"]),
        "LANG": "C.UTF-8",
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        # albumentations would ask the index for its newest version, in vain, and print that it failed.
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }
