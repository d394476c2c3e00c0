"""Download a published checkpoint: interrupted it goes on, and a wrong file is never used."""

from __future__ import annotations

import http
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kit.artefacts import read_json, sha256_file, write_json
from kit.errors import KitError
from kit.local.console import console, transfer
from kit.local.pretrained.entry import Pretrained
from kit.typed_json import from_plain

_BLOCK = 1 << 18
_AGENT = "kaggle-offline-kit"
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that are worth another try."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a download deals with a bad connection.

    Attributes:
        attempts: connections in a row that may bring nothing; one that brings bytes starts the count anew.
        pause: seconds before the second of them, doubled before each further one.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 60.0


@dataclass(frozen=True)
class _Partial:
    """What is known of a file that is downloaded in part.

    Attributes:
        url: it is read from.
        validator: strong ETag or date by which the server can tell whether the file is still the same.
        total: bytes of the whole file, -1 where the server doesn't say.
    """

    url: str
    validator: str
    total: int


class _BrokenError(Exception):
    """The connection ended early or the server asks for patience."""


_BROKEN = (
    _BrokenError,
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    TimeoutError,
    ConnectionError,
)


def fetch(
    entry: Pretrained, folder: Path, *, url: str | None = None, patience: Patience | None = None
) -> Path:
    """Download a checkpoint into a folder, under its published file name.

    The bytes go to `<file>.part`, which a later call continues if the server still has the same file. The
    finished file is renamed only after its size and, where the name carries it, the sha256 are right.

    Args:
        entry: what to fetch.
        folder: made if it is not there.
        url: of a mirror or with a signature, instead of the published one.
        patience: with the connection.

    Returns:
        The file; nothing is downloaded if it is there already.

    Raises:
        KitError: no such file at the address, the connection keeps breaking, no space, or another file came.
    """
    if not entry.url:
        raise KitError(f"{entry.name} is not a file to fetch: {entry.note}")
    source = url or entry.url
    if urlsplit(source).scheme not in {"http", "https"}:
        raise KitError(
            f"not an http address: {source}", where="--url", fix="copy the file there by hand instead"
        )
    target = folder / entry.file
    if target.is_file():
        _check(target, entry, source)
        console().print(f"{target} is there already", markup=False)
        return target
    part = target.with_name(target.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _download(entry, source, part, target, patience or Patience())
        _check(part, entry, source)
        part.replace(target)
    except OSError as error:
        raise KitError(
            f"cannot write {target.name}: {error.strerror or error}",
            where=folder,
            fix="free space on that disk or choose a writable folder; what was downloaded is kept",
        ) from error
    _note(part).unlink(missing_ok=True)
    return target


def _download(entry: Pretrained, url: str, part: Path, target: Path, patience: Patience) -> None:
    left, pause = patience.attempts, patience.pause
    with transfer() as display:
        task = display.add_task(entry.name, total=None)

        def show(done: int, total: int) -> None:
            display.update(task, completed=done, total=total if total >= 0 else None)

        while True:
            before = _size(part)
            try:
                _connect(url, part, patience.timeout, show)
            except urllib.error.HTTPError as error:
                raise _not_served(entry, url, target, error) from error
            except _BROKEN as error:
                progressed = _size(part) > before
                left, pause = (patience.attempts, patience.pause) if progressed else (left - 1, pause * 2)
                if left <= 0:
                    raise KitError(
                        f"the download of {entry.file} breaks off: {getattr(error, 'reason', None) or error}",
                        where=url,
                        fix=f"run the same command again: it goes on at byte {_size(part)}",
                    ) from error
                time.sleep(pause)
            else:
                return


def _connect(url: str, part: Path, timeout: float, show: Callable[[int, int], None]) -> None:
    """Download over one connection: continue the part if the file is still the same, else start anew."""
    known = _known(part, url)
    have = _size(part) if known is not None else 0
    if known is not None and 0 < known.total == have:
        return
    try:
        answer = urllib.request.urlopen(_request(url, have, known), timeout=timeout)  # noqa: S310 the scheme was checked
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range", "") == f"bytes */{have}":
                return  # nothing is left to send
            part.unlink(missing_ok=True)  # the file there is shorter than our part: another one
            raise _BrokenError("the file on the server has changed") from error
        if error.code in _TRY_AGAIN:
            raise _BrokenError(f"the server answers {error.code} {error.reason}") from error
        raise
    with answer:
        first, total = _extent(answer, have)
        if first and (first != have or (known is not None and known.total not in {-1, total})):
            part.unlink(missing_ok=True)
            raise _BrokenError("the file on the server has changed")
        have = first  # 0: the server sends all of it, because it cannot do otherwise or the file is new
        if "html" in answer.headers.get_content_type():
            raise KitError(
                "the server sent a web page instead of the file",
                where=url,
                fix="open the address in a browser; it may want a login or a newer link, which --url takes",
            )
        _room(part.parent, total - have)
        if not have:
            part.unlink(
                missing_ok=True
            )  # first: old bytes must never lie beside what is said of the new file
        write_json(_note(part), {"url": url, "validator": _validator(answer), "total": total})
        _copy(answer, part, have, total, show)


def _request(url: str, have: int, known: _Partial | None) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})  # noqa: S310 the scheme was checked
    if have:
        request.add_header("Range", f"bytes={have}-")
        if known is not None and known.validator:
            request.add_header("If-Range", known.validator)
    return request


def _copy(answer: Any, part: Path, have: int, total: int, show: Callable[[int, int], None]) -> None:
    with part.open("r+b" if have else "wb") as sink:
        sink.seek(have)
        sink.truncate()
        while block := answer.read1(_BLOCK):  # what is there: `read` would hold it back until a block is full
            sink.write(block)
            sink.flush()  # so that a kill costs nothing that had come
            have += len(block)
            show(have, total)
    if total >= 0 and have < total:
        raise _BrokenError(f"the connection ended after {have} of {total} bytes")


def _extent(answer: Any, have: int) -> tuple[int, int]:
    """First byte of what the server sends, and the size of the whole file (-1: not said)."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        given = answer.headers.get("Content-Range", "")
        span, _, total = given.removeprefix("bytes").strip().partition("/")
        first = span.partition("-")[0]
        if first.isdigit():
            return int(first), int(total) if total.isdigit() else -1
        return have, -1
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else -1


def _validator(answer: Any) -> str:
    tag = answer.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # a weak one promises nothing about single bytes
        return str(tag)
    return str(answer.headers.get("Last-Modified", ""))


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path, url: str) -> _Partial | None:
    try:
        known = from_plain(_Partial, read_json(_note(part)))
    except KitError:
        return None
    same = urlsplit(known.url)._replace(query="") == urlsplit(url)._replace(query="")
    return known if same else None  # signatures in the query change from day to day


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise KitError(
            f"{wanted / 2**20:.0f} MiB are missing of the file, {free / 2**20:.0f} MiB are free",
            where=folder,
            fix="free space or choose another folder with --out; what was downloaded is kept",
        )


def _check(path: Path, entry: Pretrained, source: str) -> None:
    """Put a file with the wrong hash aside."""
    if not entry.hash_prefix:
        return
    found = sha256_file(path)
    if found.startswith(entry.hash_prefix):
        return
    aside = path.with_name(entry.file + ".bad")
    path.replace(aside)
    _note(path).unlink(missing_ok=True)
    raise KitError(
        f"{entry.file} has sha256 {found}, but its name promises {entry.hash_prefix}...",
        where=f"{aside} (from {source})",
        fix="it is not used; run the command again, or give a mirror with --url",
    )


def _not_served(entry: Pretrained, url: str, target: Path, error: urllib.error.HTTPError) -> KitError:
    where_to = f"or download it in a browser to {target}"
    if entry.signed and error.code in {401, 403, 404, 409}:
        fix = f"its host wants a signature: {entry.note}, {where_to}"
    elif error.code == http.HTTPStatus.NOT_FOUND:
        fix = f"the file has moved: find it and give the address with --url, {where_to}"
    else:
        fix = f"try a mirror with --url, {where_to}"
    return KitError(f"the server answers {error.code} {error.reason} for {entry.name}", where=url, fix=fix)
