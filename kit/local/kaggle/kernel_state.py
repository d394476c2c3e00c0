"""What this machine knows of a kernel it pushed: one JSON file, written before and after every step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.artefacts import read_json, write_json
from kit.typed_json import Checked, at_least, from_plain, to_plain

SCHEMA = 1
Stage = Literal["pushing", "pushed", "running", "complete", "failed"]


@dataclass(frozen=True, kw_only=True)
class KernelState(Checked):
    """One kernel and its newest version.

    Attributes:
        id: "owner/name".
        stage: "pushing" is written before the call and stays if its answer was lost.
        request_sha256: of everything that was asked for.
        source_sha256: of the source alone, as `text_identity` counts it.
        previous_version: Kaggle's newest version before the call; 0 for a new kernel.
        version: the pushed one; None until Kaggle told it.
        kernel_id: Kaggle's number of the kernel.
        url: page of the kernel.
        sources: what is attached -> fingerprint of its content; None where only its name is known.
        image: asked for.
        accelerator: asked for and got; None for a CPU session, or until Kaggle told it.
        private: whether only the owner sees it.
        times: stage -> when it was reached, in UTC.
        reason: Kaggle's or our own, if it failed.
    """

    kind: Literal["kernel"] = "kernel"
    id: str
    stage: Stage
    request_sha256: str
    source_sha256: str
    previous_version: Annotated[int, at_least(0)]
    version: Annotated[int, at_least(1)] | None = None
    kernel_id: int | None = None
    url: str | None = None
    sources: dict[str, str | None] = field(default_factory=dict)
    image: str | None = None
    accelerator: dict[str, str | None] = field(default_factory=dict)
    private: bool = True
    times: dict[str, str] = field(default_factory=dict)
    reason: str | None = None

    def at(self, stage: Stage, **changes: Any) -> KernelState:
        """Return the state at another stage, with the present time."""
        return replace(self, stage=stage, times={**self.times, stage: now()}, **changes)


def now() -> str:
    """Return the present time in UTC, e.g. "2026-11-29T05:04:03Z"."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def state_file(folder: Path, kernel_id: str) -> Path:
    """Return the path of a kernel's state in a folder of states."""
    owner, _, name = kernel_id.partition("/")
    return folder / f"{owner}.{name}.kernel.json"


def read(path: Path) -> KernelState | None:
    """Read a state; None if there is none.

    Raises:
        KitError: it is damaged or of another version of the kit.
    """
    if not path.exists():
        return None
    fix = "look at the kernel's page on Kaggle, then delete this file"
    return from_plain(KernelState, read_json(path), where=path, fix=fix, schema=SCHEMA)


def save(path: Path, state: KernelState) -> KernelState:
    """Write a state, whole or not at all, and return it."""
    write_json(path, {"schema": SCHEMA, **to_plain(state)})
    return state


def lock_of(path: Path) -> Path:
    """Return the lock of the one process that may work on the kernel of this state."""
    return path.with_name(f".{path.name}.lock")
