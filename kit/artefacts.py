"""Artefacts: files that are complete or absent.

Every file is written under a temporary name, synced to the disk and renamed. A step that is killed leaves the
old file or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import io
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kit.errors import KitError

_BLOCK = 1 << 20
_PASSING = frozenset({errno.EIO, errno.EAGAIN, errno.ETIMEDOUT})
"""What a network's file system returns for a read that succeeds when it is tried again."""
_FIX = "free space on that disk or choose a writable folder; what was there before is unchanged"


def canonical_json(value: Any) -> str:
    """Return the one text of a value: sorted keys, no NaN, a newline at the end."""
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def sha256_bytes(data: bytes) -> str:
    """Return the hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_json(value: Any) -> str:
    """Return the hex sha256 of a value's canonical JSON: the identity of a config."""
    return sha256_bytes(canonical_json(value).encode())


def sha256_file(path: Path) -> str:
    """Return the hex sha256 of a file, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open_to_read(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Read a part of an open file, however little the file system returns at once.

    Args:
        handle: file descriptor.
        size: bytes to read; fewer are returned only at the end of the file.
        offset: of the first byte.

    Raises:
        OSError: the same place failed twice in a row.
    """
    # A block of 4 MiB on a mount that returns 64 KiB at most takes 64 reads; read 10 fails and is tried once
    # more. The first read of an ordinary disk returns everything and is not copied.
    data = b""
    parts: list[bytes] = []
    failed = False
    while size > 0:
        try:
            data = os.pread(handle, size, offset)
        except OSError as error:
            if failed or error.errno not in _PASSING:
                raise
            failed = True
            continue
        if not data:
            break
        failed = False
        parts.append(data)
        size, offset = size - len(data), offset + len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def open_regular(path: Path) -> int:
    """Open a file and return its descriptor; anything but a regular file is refused at once.

    Raises:
        OSError: it cannot be opened, or is a folder, a device or a pipe (a plain `open` would wait for a
            pipe's writer).
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(mode := os.fstat(handle).st_mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return handle


class _SteadyFile(io.RawIOBase):
    """A file whose reads all go through `read_at`."""

    def __init__(self, path: Path) -> None:
        self._handle = open_regular(path)
        self._position = 0

    def readinto(self, buffer: Any) -> int:
        data = read_at(self._handle, len(buffer), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def readall(self) -> bytes:
        data = read_at(self._handle, os.fstat(self._handle).st_size - self._position, self._position)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_CUR: self._position, io.SEEK_END: os.fstat(self._handle).st_size}.get(whence, 0)
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._position = start + offset
        return self._position

    def fileno(self) -> int:
        return self._handle

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self._handle)
        super().close()


def open_to_read(path: Path) -> io.BufferedReader:
    """Open a regular file on any mount; short reads and a passing fault do not show, as in `read_at`.

    Raises:
        OSError: the file cannot be opened.
    """
    return io.BufferedReader(_SteadyFile(path), _BLOCK)


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a text file through `open_to_read`.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: its bytes are no such text.
    """
    with io.TextIOWrapper(open_to_read(path), encoding=encoding) as stream:
        return stream.read()


@contextmanager
def atomic_file(path: Path, *, fix: str = _FIX) -> Iterator[Path]:
    """Yield a temporary name beside `path`; what the block writes there takes the place of `path` at once.

    The file appears only when the block ends without an error and its bytes are on the disk. Readers see the
    old file or the new one, never a part of it.

    Args:
        path: the file; its folder is made if it is missing.
        fix: advice for the message.

    Raises:
        KitError: the folder cannot be written or the disk is full; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    in_block = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        in_block = True
        yield temporary
        in_block = False
        # Without fsync the rename may reach the disk before the bytes do: after a power failure the file
        # would have its name and be empty. The folder is not synced: if the rename itself is lost, the old
        # file is back, and its reader refuses a JSON beside it that describes the new one.
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if in_block and not _is_of_writing(error, temporary):
            raise
        raise KitError(
            f"cannot write {path.name}: {error.strerror or error}",
            where=path.parent,
            fix="it is a folder: name a file" if path.is_dir() else fix,
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_stream(path: Path, *, fix: str = _FIX) -> Iterator[BinaryIO]:
    """Yield a stream to write to; what it gets takes the place of `path` at once, as `atomic_file` does.

    Raises:
        KitError: as `atomic_file`. What else the block raises leaves it unchanged.
    """
    with atomic_file(path, fix=fix) as temporary:
        stream = temporary.open("wb")
        try:
            yield stream
        except BaseException:
            # To close it writes what is buffered. On a full disk that fails, and would hide why it ended.
            with contextlib.suppress(OSError):
                stream.close()
            raise
        stream.close()


def _is_of_writing(error: OSError, temporary: Path) -> bool:
    """Whether a block failed on its own file, not on an image it read or a process it talked to."""
    # open() and rename() name a file in their error. write() names none, but only write() fails for these
    # three reasons: a read of a broken disk gives EIO, a message to a dead process EPIPE.
    if error.filename is None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return str(error.filename) == str(temporary)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` atomically, as `atomic_file` does."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def remove_leftovers(place: Path, *, seconds: float = 0.0) -> None:
    """Delete the temporary files of killed processes. No other process may be writing there.

    Args:
        place: of a folder, all temporary files below it are deleted; of a file, those of its own writers.
        seconds: a file that was written since stays: its writer may run.
    """
    # A writer of "map.npy" that was killed left ".map.npy.1b2f03c4.tmp" beside it.
    pattern = f".{glob.escape(place.name)}.*.tmp"
    for path in place.rglob(".*.tmp") if place.is_dir() else place.parent.glob(pattern):
        if not seconds or time.time() - path.stat().st_mtime > seconds:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` for canonical JSON."""
    write_text(path, canonical_json(value))


def read_json(path: Path) -> Any:
    """Read the value of a JSON file.

    Raises:
        KitError: the file is missing or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="run the step that writes it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise KitError(
            f"not a readable JSON file: {error}", where=path, fix="delete it and run its step again"
        ) from error
