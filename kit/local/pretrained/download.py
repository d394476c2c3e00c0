"""Download a published checkpoint. An interrupted download goes on, and a wrong file is never used.

resnet50.pth.part        the bytes that have come so far
resnet50.pth.part.json   address, size and ETag of the file they belong to
resnet50.pth             the complete file; it appears after its size and its sha256 or content were checked
resnet50.pth.bad         a complete file with a wrong sha256 or content
"""

from __future__ import annotations

import errno
import http
import http.client
import shutil
import socket
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
from kit.local.pretrained.addresses import opener_for, public, redacted
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.limited import check_content
from kit.local.pretrained.read import describe, is_pointer
from kit.typed_json import from_plain

_BLOCK = 1 << 18
_HEAD = 64
_AGENT = "kaggle-offline-kit"
_NO_CONNECTION = frozenset({errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT})
"""Errors of a connection that never was."""
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which another try may help."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a download waits for a bad connection.

    Attributes:
        attempts: give up after this many connections in a row that brought no bytes.
        pause: seconds to wait after a connection that brought bytes. Each connection that brings none doubles
            the wait.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    # attempts=3, pause=1: bytes, break, wait 1 s, bytes, break, wait 1 s, nothing, wait 2 s, nothing,
    # wait 4 s, nothing -> error. A connection that brings bytes starts the count again.

    attempts: int = 5
    pause: float = 1.0
    timeout: float = 60.0


@dataclass(frozen=True)
class _Partial:
    """The file that a partial download belongs to; it is kept as JSON beside the part.

    Attributes:
        url: address of the file, without a signature.
        validator: strong ETag or date; the server compares it to see whether the file has changed.
        total: size of the complete file in bytes, -1 if the server does not say it.
    """

    url: str
    validator: str
    total: int


class _BrokenError(Exception):
    """The connection ended early, or the server asks to try again later."""


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
    """Download a checkpoint into a folder under its published file name.

    The bytes go to `<file>.part`. A later call continues this part if the server still has the same file. The
    part gets its final name after its size is right, and its sha256 if the file name has one. A file without
    a published sha256 has to be a checkpoint that fills its network.

    Args:
        entry: the checkpoint.
        folder: for the file; it is made if necessary.
        url: address of a mirror, or one with a signature, instead of the published address.
        patience: how long to wait for a bad connection.

    Returns:
        The file. If it is there already, nothing is downloaded.

    Raises:
        KitError: the address has no such file, the connection keeps breaking, the disk is full, or the file
            has the wrong sha256 or content.
    """
    if not entry.url:
        raise KitError(
            f"{entry.name} has no file to fetch: {entry.note}",
            fix="fetch another: `python -m kit.models pretrained` lists all with their addresses",
        )
    source = url or entry.url
    if not _is_web_address(source):
        raise KitError(
            f"{public(source)} is not an http address",
            where="--url",
            fix="write it as https://HOST/PATH without blanks, or copy the file into the folder yourself",
        )
    target = folder / entry.file
    if target.is_file():
        _check(target, entry, source)
        console().print(f"{target} is there already; nothing is downloaded", markup=False)
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
            fix="free space on that disk or choose a writable folder; the downloaded part is kept",
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
                trouble = _trouble(entry, url, part, error)
                if left <= 0:
                    raise trouble from error
                how = f"again in {pause:.0f} s, {left} more time{'' if left == 1 else 's'}"
                console().print(f"{trouble.problem}; {how}", markup=False)
                time.sleep(pause)
            else:
                return


def _trouble(entry: Pretrained, url: str, part: Path, error: BaseException) -> KitError:
    """Return the error for a connection that broke, or that never was: no name, no route, nobody there."""
    cause = getattr(error, "reason", None) or error
    reason = redacted(str(cause), url)
    if isinstance(cause, socket.gaierror) or getattr(cause, "errno", None) in _NO_CONNECTION:
        return KitError(
            f"{urlsplit(url).hostname} cannot be reached: {reason}",
            where=public(url),
            fix="check the network and the proxy (HTTPS_PROXY, NO_PROXY) and run the same command again; or "
            f"download {entry.file} on another machine and copy it into the folder",
        )
    return KitError(
        f"the download of {entry.file} breaks off: {reason}",
        where=public(url),
        fix=f"run the same command again: it goes on at byte {_size(part)}",
    )


def _connect(url: str, part: Path, timeout: float, show: Callable[[int, int], None]) -> None:
    """Open one connection and read until it ends; continue the part if the server still has the same file."""
    # The part has 120000 of 300000 bytes. We ask "Range: bytes=120000-" with "If-Range: <ETag>". The server
    # answers
    #   206 "Content-Range: bytes 120000-299999/300000"  the same file: append
    #   200                                              the file has changed, or no ranges: start again
    #   416 "Content-Range: bytes */120000"              the part is complete
    #   416 "Content-Range: bytes */90000"               another file: delete the part and try again
    known = _known(part, url)
    have = _size(part) if known is not None else 0
    if known is not None and 0 < known.total == have:
        return
    try:
        opener, plain = opener_for(url)
        answer = opener.open(_request(plain, have, known), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range", "") == f"bytes */{have}":
                return  # nothing is left to send
            part.unlink(missing_ok=True)  # the server's file is shorter than our part, so it is another file
            raise _BrokenError("the file on the server has changed") from error
        if error.code in _TRY_AGAIN:
            raise _BrokenError(f"the server answers {error.code} {error.reason}") from error
        raise
    with answer:
        first, total = _extent(answer, have)
        if first and (first != have or (known is not None and known.total not in {-1, total})):
            part.unlink(missing_ok=True)
            raise _BrokenError("the file on the server has changed")
        have = first  # 0: the server sends the complete file
        if "html" in answer.headers.get_content_type():
            raise KitError(
                "the server sent a web page instead of the file",
                where=public(url),
                fix="open the address in a browser; if it shows a newer link, give that link with --url",
            )
        _room(part.parent, total - have)
        if not have:
            # Before the note is written: it must never describe a new file beside bytes of the old one.
            part.unlink(missing_ok=True)
        write_json(_note(part), {"url": public(url), "validator": _validator(answer), "total": total})
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
        # `read1` returns the bytes that have come; `read` would wait until a block is full. With the flush, a
        # killed process loses none of them.
        while block := answer.read1(_BLOCK):
            sink.write(block)
            sink.flush()
            have += len(block)
            show(have, total)
    if total >= 0 and have < total:
        raise _BrokenError(f"the connection ended after {have} of {total} bytes")


def _extent(answer: Any, have: int) -> tuple[int, int]:
    """Return the offset of the first byte that the server sends, and the file's size (-1: unknown)."""
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
    if tag and not tag.startswith("W/"):  # with a weak tag (W/), single bytes may differ
        return str(tag)
    return str(answer.headers.get("Last-Modified", ""))


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path, url: str) -> _Partial | None:
    try:
        known = from_plain(_Partial, read_json(_note(part)))
    except KitError:
        return None
    # Signatures in the query ("?sig=...") change from day to day, and the file stays the same.
    if known.url != public(known.url):
        write_json(_note(part), {**vars(known), "url": public(known.url)})  # an older version kept them
    return known if public(known.url) == public(url) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise KitError(
            f"the rest of the file has {wanted / 2**20:.0f} MiB, but {free / 2**20:.0f} MiB are free",
            where=folder,
            fix="free space or choose another folder with --out; the downloaded part is kept",
        )


def _check(path: Path, entry: Pretrained, source: str) -> None:
    """Check a file's sha256 if its name has one, else its content; rename a wrong file to `<file>.bad`."""
    if entry.hash_prefix:
        found = sha256_file(path)
        if found.startswith(entry.hash_prefix):
            return
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
        told = f"; it is {describe(head)}" if head[:1] == b"<" or is_pointer(head) else ""
        problem = f"{entry.file} has sha256 {found}, but its name promises {entry.hash_prefix}...{told}"
    else:
        try:
            check_content(path, entry)
        except KitError as error:
            problem = f"{entry.file} is not what {entry.name} should be: {error.problem}"
        else:
            return
    aside = path.with_name(entry.file + ".bad")
    path.replace(aside)
    _note(path).unlink(missing_ok=True)
    raise KitError(
        problem,
        where=f"{aside} (from {public(source)})",
        fix="run the command again, or give a mirror with --url; the wrong file is not used",
    )


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname)
        return known and (parts.port is None or parts.port > 0) and url.isprintable() and " " not in url
    except ValueError:
        return False


def _not_served(entry: Pretrained, url: str, target: Path, error: urllib.error.HTTPError) -> KitError:
    where_to = f"or download it in a browser to {target}"
    if entry.signed and error.code in {401, 403, 404, 409}:
        fix = f"its host asks for a signature: {entry.note}, {where_to}"
    elif error.code == http.HTTPStatus.NOT_FOUND:
        fix = f"the file has moved: find it and give the address with --url, {where_to}"
    else:
        fix = f"try a mirror with --url, {where_to}"
    reason = redacted(str(error.reason), url).splitlines()[:1]
    return KitError(
        f"the server answers {error.code} {''.join(reason)} for {entry.name}", where=public(url), fix=fix
    )
