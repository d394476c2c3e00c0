"""Wait for the run of a kernel's version, show its log, and fetch what it wrote.

Everything is asked for with the version's number: without it Kaggle may answer for an older run while the new
one is still going on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kit.errors import KitError
from kit.local.kaggle import kernel_state
from kit.local.kaggle.kernels import NOT_THERE, Pushed
from kit.local.kaggle.outcome import CutOff, Refused
from kit.local.kaggle.wire import Wire

LONGEST_RUN = 13 * 3600
"""Seconds; Kaggle ends every session after 12 hours, and it may have been queued before."""
_ENDS = {"COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED"}
_TAIL = 15
"""Lines of the log that the message of a failed run shows."""


@dataclass(frozen=True)
class Finished:
    """A run that came to its end.

    Attributes:
        status: "COMPLETE".
        seconds: from the first look to the end, on this machine's clock.
        log: its last lines.
    """

    status: str
    seconds: float
    log: tuple[str, ...]


def wait(
    wire: Wire,
    pushed: Pushed,
    on_line: Callable[[str], None] = lambda _: None,
    *,
    limit_s: float = LONGEST_RUN,
) -> Finished:
    """Wait for the end of a run.

    Args:
        wire: to Kaggle.
        pushed: the version.
        on_line: takes each line of the log once, as it comes.
        limit_s: how long to wait.

    Raises:
        KitError: the run failed or was cancelled, with Kaggle's words and the last lines of its log; or it is
            not at its end yet.
    """
    patience = wire.patience
    began, log, status = time.monotonic(), _Log(wire, pushed, on_line), "not seen yet"
    while True:
        try:
            found = _status(wire, pushed)
        except CutOff:
            raise _late(pushed, status, time.monotonic() - began) from None
        waited = time.monotonic() - began
        if found is None:
            # A new kernel may be invisible to its owner for some minutes.
            if waited > patience.pending:
                problem = KitError(
                    f"Kaggle does not know the run of {pushed.id} version {pushed.version}",
                    where=pushed.url,
                    fix="look at that page; push again if the version is not there",
                )
                raise _note_failure(pushed, problem)
        else:
            status, message = found
            if status in _ENDS:
                log.follow(patience.stall, ended=True)
                return _end(pushed, status, message, waited, tuple(log.last))
            if status == "RUNNING":
                _note(pushed, "running")
                log.follow(patience.stall)
        waited = time.monotonic() - began
        if waited > limit_s or time.monotonic() + patience.poll >= wire.ends:
            raise _late(pushed, status, waited)
        time.sleep(patience.poll)


def output(wire: Wire, pushed: Pushed, to: Path) -> list[Path]:
    """Fetch all files that a run wrote. The folder has all of them, or stays as it was.

    Args:
        wire: to Kaggle.
        pushed: the version; its run has to be at its end.
        to: folder; what it held before is replaced, so that nothing old is taken for new.

    Returns:
        the files, sorted.

    Raises:
        KitError: the run wrote nothing, a name points out of the folder, or a file did not come whole.
    """
    owner, _, name = pushed.id.partition("/")
    names = list(_listed(wire, pushed))
    if not names:
        raise KitError(
            f"the run of {pushed.id} version {pushed.version} wrote no file",
            where=pushed.url,
            fix="read the run's log on that page",
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as scratch:
        fresh = Path(scratch) / "files"
        fresh.mkdir()
        for file in names:
            place = fresh / _inside(file, pushed)
            place.parent.mkdir(parents=True, exist_ok=True)
            asked = {
                "ownerSlug": owner,
                "kernelSlug": name,
                "filePath": file,
                "versionNumber": pushed.version,
            }
            wire.download("kernels.DownloadKernelOutput", asked, place)
        if to.exists():
            shutil.rmtree(to)
        fresh.replace(to)
    return sorted(path for path in to.rglob("*") if path.is_file())


def _late(pushed: Pushed, status: str, seconds: float) -> KitError:
    return KitError(
        f"the run of {pushed.id} version {pushed.version} is not at its end after {seconds:.0f} s; "
        f"its last status was {status}",
        where=pushed.url,
        fix="run the same command again: it goes on waiting and pushes nothing",
    )


def _status(wire: Wire, pushed: Pushed) -> tuple[str, str] | None:
    owner, _, name = pushed.id.partition("/")
    asked = {"userName": owner, "kernelSlug": name, "versionLabel": f"v{pushed.version}"}
    try:
        value = wire.rpc("kernels.GetKernelSessionStatus", asked).value
    except Refused as error:
        if error.status in NOT_THERE:
            return None
        raise
    # A field that is left out has its default: QUEUED is the first of Kaggle's statuses.
    return str(value.get("status") or "QUEUED").upper(), str(value.get("failureMessage") or "")


def _end(pushed: Pushed, status: str, message: str, seconds: float, log: tuple[str, ...]) -> Finished:
    if status == "COMPLETE":
        # A message beside COMPLETE is Kaggle's own doubt; the caller reads the output before it believes.
        _note(pushed, "complete")
        return Finished(status, seconds, log)
    how = "was cancelled" if status.startswith("CANCEL") else "failed"
    tail = "".join(f"\n    {line}" for line in log)
    problem = KitError(
        f"the run of {pushed.id} version {pushed.version} {how}"
        f"{': ' + message if message else ''}{' - the end of its log:' + tail if tail else ''}",
        where=pushed.url,
        fix="mend what the log says, render and push again"
        if how == "failed"
        else "push again; if nobody cancelled it, look at your account's session limits",
    )
    raise _note_failure(pushed, problem)


def _note(pushed: Pushed, stage: kernel_state.Stage) -> None:
    state = kernel_state.read(pushed.state)
    if state is not None and state.version == pushed.version and state.stage != stage:
        kernel_state.save(pushed.state, state.at(stage))


def _note_failure(pushed: Pushed, problem: KitError) -> KitError:
    state = kernel_state.read(pushed.state)
    if state is not None and state.version == pushed.version:
        kernel_state.save(pushed.state, state.at("failed", reason=problem.problem))
    return problem


class _Log:
    """The log of one run; the server sends it from the beginning at each connection."""

    def __init__(self, wire: Wire, pushed: Pushed, on_line: Callable[[str], None]) -> None:
        self._wire, self._kernel, self._on_line = wire, f"{pushed.id}/{pushed.version}", on_line
        self._seen, self._whole = 0, False
        self.last: deque[str] = deque(maxlen=_TAIL)

    def follow(self, stall_s: float, *, ended: bool = False) -> None:
        """Hand over new lines until the stream ends or is silent for `stall_s`; a lost stream is no error."""
        # A stream that ended while the run goes on is read once more at the end, not at every look.
        if self._whole and not ended:
            return
        number = 0
        try:
            for number, line in enumerate(self._wire.log_lines(self._kernel, stall_s=stall_s), 1):
                if number > self._seen:
                    self._seen = number
                    self.last.append(line.rstrip())
                    self._on_line(line.rstrip())
        except KitError:
            return  # the status says how the run ends; a log that cannot be read does not
        self._whole = number > 0


def _listed(wire: Wire, pushed: Pushed) -> Iterator[str]:
    """Names of all files of the output, page after page."""
    owner, _, name = pushed.id.partition("/")
    asked: dict[str, Any] = {
        "userName": owner,
        "kernelSlug": name,
        "versionLabel": f"v{pushed.version}",
        "pageSize": 100,
    }
    seen: set[str] = set()
    while True:
        value = wire.rpc("kernels.ListKernelSessionOutput", asked).value
        for item in value.get("files") or ():
            file = str(item.get("fileName") or "")
            if file in seen:
                raise KitError(
                    f"{pushed.id} lists the file {file!r} twice", where=pushed.url, fix="run it again"
                )
            seen.add(file)
            yield file
        token = value.get("nextPageToken")
        if not token:
            return
        asked = {**asked, "pageToken": token}


def _inside(name: str, pushed: Pushed) -> PurePosixPath:
    """The place of a file in the folder; names come from a kernel's output and are not trusted."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise KitError(
            f"the output of {pushed.id} has a file whose name points elsewhere: {name!r}",
            where=pushed.url,
            fix="nothing was written; look at the output on that page, and at who may edit the kernel",
        )
    return path
