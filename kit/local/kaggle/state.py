"""What was sent where: one JSON file for each dataset, so that a run that was killed goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from kit.artefacts import read_json, write_json
from kit.typed_json import Checked, from_plain, to_plain

SCHEMA = 1
Stage = Literal["staged", "uploading", "publishing", "processing", "verified", "failed"]


@dataclass(frozen=True, kw_only=True)
class State(Checked):
    """One dataset or model on its way.

    Attributes:
        kind: what it is.
        id: "owner/slug".
        url: of its page.
        fingerprint: sha256 of its manifest.json.
        build_id: stands in the notes of its version; it is written here before the version is asked for.
        stage: how far it is; only "verified" means that Kaggle holds what was sent.
        version: its number there, once it is known.
        previous_version: the number before it; 0 if it is the first.
        private: whether only its owner sees it.
        files: number of files that were sent.
        bytes: their size.
        checked_by: how many files were compared by which hash.
        times: stage -> when it was reached, UTC.
        attempts: how often the version was asked for.
        reason: why it failed.
    """

    kind: Literal["dataset", "model"]
    id: str
    url: str
    fingerprint: str
    build_id: str
    stage: Stage
    version: int | None = None
    previous_version: int = 0
    private: bool = True
    files: int = 0
    bytes: int = 0
    checked_by: dict[str, int] = field(default_factory=dict)
    times: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    reason: str = ""


def path_of(folder: Path, dataset: str, *, suffix: str = ".json") -> Path:
    """Return the file of a dataset's state: "alice/kit-wheels" -> folder/alice.kit-wheels.json."""
    return folder / f"{dataset.replace('/', '.')}{suffix}"


def load(path: Path) -> State | None:
    """Read a state; None if there is none.

    Raises:
        KitError: the file is damaged or of another version of the kit.
    """
    if not path.exists():
        return None
    fix = "delete it; the next run looks at what is on Kaggle"
    return from_plain(State, read_json(path), where=path, fix=fix, schema=SCHEMA)


def save(path: Path, state: State) -> None:
    """Write a state, whole or not at all."""
    write_json(path, {"schema": SCHEMA, **to_plain(state, leave_out_none=True)})


def now() -> str:
    """Return the time of a stage, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def lock_of(path: Path) -> Path:
    """Return the lock of the one process that may send the dataset of this state."""
    return path.with_suffix(".lock")
