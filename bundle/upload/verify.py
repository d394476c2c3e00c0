"""Wait until Kaggle has the version, then read back what it has: list, sizes, hashes, privacy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundle.upload.destination import Destination, There
from bundle.upload.expected import Comparison, Expected, RemoteEntry, compare
from kit import manifest
from kit.errors import KitError
from kit.local.kaggle.outcome import CutOff, Refused, Unclear
from kit.local.kaggle.state import State
from kit.local.kaggle.wire import Wire

_ENDED_BADLY = ("FAILED", "DELETED")


class MismatchError(KitError):
    """Kaggle holds other files than were sent."""


class ProcessingError(KitError):
    """Kaggle could not process the version."""


@dataclass
class Checked:
    """How many files were compared by which hash."""

    md5: int = 0
    sha256: int = 0
    versions: dict[str, int] = field(default_factory=dict)


def wait_ready(
    destination: Destination, wire: Wire, state: State, say: Callable[[str], None], *, record: Path
) -> int | None:
    """Wait until the version of a state is ready; return its number, None if Kaggle tells none.

    "READY" belongs to the dataset and not to a version: for a while it is the former version's. So it counts
    only together with our build id, or with a higher number than before.

    Args:
        destination: where.
        wire: to Kaggle; it is asked until its limit for everything is reached.
        state: of the version that was published.
        say: takes progress.
        record: the state's file, which a message names.

    Raises:
        ProcessingError: Kaggle says that it failed.
        KitError: it was not ready in time.
        CallError: Kaggle could not be asked.
    """
    began = time.monotonic()
    seen = "not shown yet"
    while True:
        try:
            there = destination.look(wire)
        except CutOff:
            # Such a look says nothing about Kaggle: what was seen before counts.
            raise _late(destination, seen, time.monotonic() - began, record) from None
        passed = time.monotonic() - began
        if there.exists:
            seen = f"{there.status or 'no status'}, version {there.current}"
            ours, number, status = _ours(there, state)
            if status in _ENDED_BADLY and (ours or passed > wire.patience.settle):
                raise ProcessingError(
                    f"Kaggle could not process {destination.id}: {status}",
                    where=destination.url,
                    fix="the page says why; correct it, build the bundle and upload again",
                )
            if ours and there.status == "READY" and status in ("READY", ""):
                return number
        elif passed > wire.patience.pending:
            raise _late(destination, "Kaggle does not show it (403)", passed, record)
        say(f"{destination.id}: waiting until Kaggle has it ready; now: {seen}")
        if time.monotonic() + wire.patience.poll >= wire.ends:
            raise _late(destination, seen, passed, record)
        time.sleep(wire.patience.poll)


def _ours(there: There, state: State) -> tuple[bool, int | None, str]:
    """Whether what a look shows is our version, its number, and its status."""
    listed = there.version_of(state.build_id)
    if listed is not None:
        # Its own status where Kaggle gives one; "" is none.
        return there.current in (None, listed.number), listed.number, listed.status or there.status
    if there.current is None:
        return True, None, there.status
    return there.current > state.previous_version, there.current, there.status


def _late(destination: Destination, seen: str, seconds: float, record: Path) -> KitError:
    fix = "run the same command again later: it goes on waiting, and nothing is sent twice"
    if destination.kind == "model":
        # Nobody can ask whether a model's version failed, so only its page ends the waiting for it.
        fix += f"; if its page says that it failed, delete {record} before, and a new version is made"
    return KitError(
        f"{destination.id} is not ready after {seconds:.0f} s; last seen: {seen}",
        where=destination.url,
        fix=fix,
    )


def verify(
    destination: Destination,
    wire: Wire,
    wanted: Sequence[Expected],
    version: int | None,
    folder: Path,
    *,
    full: bool = False,
) -> Checked:
    """Compare what Kaggle holds with what was sent; all files, by hash.

    Args:
        destination: where.
        wire: to Kaggle.
        wanted: what was sent.
        version: its number; None reads the current version.
        folder: for downloads; each is deleted again.
        full: download every file; else only those whose md5 the store does not tell, and manifest.json.

    Raises:
        MismatchError: the message names file, what was expected and what was found.
        CallError: Kaggle could not be asked.
    """
    end = time.monotonic() + wire.patience.settle  # the list may lag behind
    while True:
        try:
            return _once(destination, wire, wanted, version, folder, full=full)
        except (MismatchError, Refused, Unclear) as error:
            if isinstance(error, Refused) and error.status not in (403, 404):
                raise
            if time.monotonic() >= end:
                raise
            time.sleep(wire.patience.poll)


def _once(
    destination: Destination,
    wire: Wire,
    wanted: Sequence[Expected],
    version: int | None,
    folder: Path,
    *,
    full: bool,
) -> Checked:
    result = compare(wanted, destination.listing(wire, version))
    if not result.same:
        raise MismatchError(
            f"Kaggle's list of {destination.id} is not what was sent: {_differences(result)}",
            where=destination.url,
            fix="run the same command again: it sends a new version",
        )
    checked = Checked()
    for entry, item in result.pairs:
        method, request = destination.file_request(entry.name, version)
        if not full and item.file != manifest.NAME:
            told = wire.head(method, request)
            if told.md5 is not None:
                _same_file(destination, entry, item, (item.md5, told.md5), told.size)
                checked.md5 += 1
                continue
        folder.mkdir(parents=True, exist_ok=True)
        place = folder / "read-back"
        try:
            got = wire.download(method, request, place)
        finally:
            place.unlink(missing_ok=True)
        _same_file(destination, entry, item, (item.sha256, got.sha256 or ""), got.size)
        checked.sha256 += 1
    return checked


def _same_file(
    destination: Destination,
    entry: RemoteEntry,
    item: Expected,
    hashes: tuple[str, str],
    size: int | None,
) -> None:
    expected_hash, found_hash = hashes
    if size not in (None, item.size) or expected_hash != found_hash:
        raise MismatchError(
            f"Kaggle holds another {entry.name} than was sent: "
            f"expected {item.size} bytes {expected_hash}, found {size} bytes {found_hash}",
            where=destination.url,
            fix="run the same command again: it sends a new version",
        )


def _differences(result: Comparison) -> str:
    """Name the first differences of a listing."""
    parts = [f"{item.file} is missing ({item.size} bytes)" for item in result.missing]
    parts += [f"{there.name} has {there.size} bytes, not {item.size}" for there, item in result.wrong]
    parts += [f"{entry.name} was not sent" for entry in result.surplus]
    more = f", and {len(parts) - 5} more" if len(parts) > 5 else ""
    return ", ".join(parts[:5]) + more


def already_there(
    destination: Destination, wire: Wire, wanted: Sequence[Expected], there: There, folder: Path
) -> Checked | None:
    """Return how it was checked that the current version is ready and holds just these files; else None."""
    if not there.exists or there.status != "READY":
        return None
    [item] = [item for item in wanted if item.file == manifest.NAME and item.inside is None]
    method, request = destination.file_request(manifest.NAME, there.current)
    try:
        # The manifest alone tells other builds apart. If it is ours, a list that differs may be an answer
        # that passes: it is asked for again, before the files are sent a second time for nothing.
        told = wire.head(method, request)
        if told.md5 is None:
            folder.mkdir(parents=True, exist_ok=True)
            place = folder / "read-back"
            got = wire.download(method, request, place)
            place.unlink(missing_ok=True)
            ours = got.sha256 == item.sha256
        else:
            ours = told.md5 == item.md5
        return verify(destination, wire, wanted, there.current, folder) if ours else None
    except MismatchError:
        return None
    except Refused as error:
        if error.status in (403, 404):
            return None
        raise
