"""The log of submissions: JSON lines, only ever appended to; the last line of an id is its present state.

A line is on the disk before the call that it tells of is sent. So whatever is killed when, the next command
knows that a submission with this id may exist, and looks for it before anything is sent again.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from kit.errors import KitError
from kit.typed_json import Checked, from_plain, to_plain

SCHEMA = 1
Stage = Literal["asked", "submitted", "scored", "failed"]


@dataclass(frozen=True, kw_only=True)
class Submission(Checked):
    """One submission.

    Attributes:
        id: "kit-" and 12 hexadecimal digits; stands in the description on Kaggle.
        time: when this line was written, in UTC.
        asked: when the submission was about to be sent, in UTC.
        stage: "asked" before the call, "submitted" once Kaggle has it, "scored" only with a public score.
        competition: name in its address.
        kernel: "owner/name".
        kernel_version: its version.
        file: of the kernel's output that is scored.
        message: the user's own words.
        ref: Kaggle's number of it; None until it is known.
        predict_sha256: of the source that was pushed.
        ensemble_sha256: of the ensemble in it.
        bundle: attached dataset or model -> fingerprint.
        members: names of the ensemble's members.
        cv: cross-validation of the last rung; None if unknown.
        predicted_seconds: of the hidden run, low and high; None where they cannot be known.
        public_score: as Kaggle writes it.
        private_score: as Kaggle writes it, after the end of the competition.
        error: Kaggle's words, or ours.
    """

    id: str
    time: str
    asked: str
    stage: Stage
    competition: str
    kernel: str
    kernel_version: int
    file: str
    message: str = ""
    ref: int | None = None
    predict_sha256: str
    ensemble_sha256: str
    bundle: dict[str, str] = field(default_factory=dict)
    members: list[str] = field(default_factory=list)
    cv: float | None = None
    predicted_seconds: tuple[float, float] | None = None
    public_score: str | None = None
    private_score: str | None = None
    error: str | None = None

    def described(self) -> str:
        """Return the description that Kaggle shows; the id in it finds the submission again."""
        return f"{self.id} {self.message}".strip()


class Log:
    """The file and what it says.

    Args:
        path: of the file; it appears with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock(self) -> Path:
        """The lock of the one process that may send; others may append what they hear of it."""
        return self.path.with_name(f".{self.path.name}.lock")

    def add(self, entry: Submission) -> Submission:
        """Append a state of a submission; it is on the disk when this returns.

        Raises:
            KitError: the file cannot be written.
        """
        line = json.dumps({"schema": SCHEMA, **to_plain(entry)}, sort_keys=True) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                # b'{"id": "kit-1"}\n{"id": "ki' after a power failure: the second line was never whole on the
                # disk, so its call was never sent. It goes, because the new line would be glued to it.
                if (torn := _after_last_line(stream)) is not None:
                    stream.truncate(torn)
                stream.write(line.encode())
                stream.flush()
                os.fsync(stream.fileno())
            _sync_folder(self.path.parent)
        except OSError as error:
            raise KitError(
                f"the log of submissions cannot be written: {error.strerror}",
                where=self.path,
                fix="free space or choose another --log; nothing was sent",
            ) from error
        return entry

    def entries(self) -> list[Submission]:
        """Return the last state of every submission, in the order in which they were made.

        Raises:
            KitError: a line is damaged, or the file is of another version of the kit.
        """
        if not self.path.exists():
            return []
        if not self.path.is_file():
            fix = "name the file that `submit` writes, such as dist/kidney/submissions.jsonl"
            raise KitError("the log of submissions is no file", where=self.path, fix=fix)
        *lines, torn = self.path.read_bytes().split(b"\n")
        del torn  # what follows the last line end was never on the disk as a whole: see `add`
        found: dict[str, Submission] = {}
        for number, line in enumerate(lines, 1):
            try:
                value: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise KitError(
                    f"line {number} of the log of submissions is damaged: {error}",
                    where=self.path,
                    fix="correct that line by hand; do not delete it, it may tell of a submission",
                ) from error
            entry = from_plain(Submission, value, where=f"{self.path}, line {number}", schema=SCHEMA)
            found[entry.id] = entry
        return list(found.values())

    def update(self, entry: Submission, time: str, **changes: Any) -> Submission:
        """Append a changed state and return it; an unchanged one is not written again."""
        changed = replace(entry, **changes)
        return entry if changed == entry else self.add(replace(changed, time=time))


def _after_last_line(stream: BinaryIO) -> int | None:
    """Return where an unfinished last line begins; None if the last line is whole."""
    stream.seek(0)
    content = stream.read()
    return None if not content or content.endswith(b"\n") else content.rfind(b"\n") + 1


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file survive a power failure, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
