"""A mount that is slow, reads short or maps nothing: a folder served through FUSE, as on Kaggle.

Only the protocol's read side is spoken (Linux, fuse(4); the numbers are those of <linux/fuse.h>). The kernel
sends one request per read of /dev/fuse, and gets one answer per write. Standard library only: it runs inside
the sandbox.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<IIQQIIIHH")  # length, operation, number, node, user, group, thread, -, -
_ANSWER = struct.Struct("<IiQ")  # length, error, number
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("<QQQQII")  # node, generation, seconds that entry and attributes hold, and their rests
_READ = struct.Struct("<QQII")  # handle, offset, size, flags
_INIT = struct.Struct("<IIII")
_INIT_ANSWER = struct.Struct("<IIIIHHIIHHII24x")
_STATISTICS = struct.Struct("<QQQQQIIII24x")
_LOOKUP, _FORGET, _GETATTR, _READLINK, _OPEN, _READ_FILE, _STATFS, _RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
_FLUSH, _START, _OPENDIR, _READDIR, _RELEASEDIR, _ACCESS, _INTERRUPT, _FORGET_MANY = (
    25, 26, 27, 28, 29, 34, 36, 42,
)  # fmt: skip
_UNANSWERED = frozenset({_FORGET, _INTERRUPT, _FORGET_MANY})
_MINOR = 31
_ASYNC_READ, _PARALLEL_FOLDERS, _MANY_PAGES = 1 << 0, 1 << 18, 1 << 22
_DIRECT, _KEEP_CACHE = 1 << 0, 1 << 1
_MOST_PAGES = 256
_PAGE = 4096
_REQUEST = _MOST_PAGES * _PAGE + 4096
"""Bytes of the largest request and answer."""
_THREADS = 48
"""As many reads may be under way: more streams than any reader opens."""
_HOLDS = 3600
"""Seconds for which names and attributes hold; the folder does not change."""
_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4


@dataclass(frozen=True)
class Mount:
    """How the mount reads.

    Attributes:
        megabytes_per_s: of each stream (a thread that reads), 0: as fast as the disk.
        longest_read: bytes that a read of more than a page returns at most, 0: what was asked for. Shared
            maps are refused then, too, as the kernel keeps no pages of such a mount.
        no_maps: shared maps are refused (ENODEV).
    """

    megabytes_per_s: float = 0.0
    longest_read: int = 0
    no_maps: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is a mount like any other."""
        return not (self.megabytes_per_s or self.longest_read or self.no_maps)

    def __str__(self) -> str:
        parts = [f"{self.megabytes_per_s:g} MB/s for each stream"] if self.megabytes_per_s else []
        parts += [f"{self.longest_read} bytes at most in a read"] if self.longest_read else []
        return ", ".join([*parts, *(["no shared maps"] if self.no_maps or self.longest_read else [])])


class FileServer:
    """Serves a folder at its own place, read-only.

    Args:
        folder: what is below is served, and hidden by the mount.
        mount: how it reads.
    """

    def __init__(self, folder: Path, mount: Mount) -> None:
        self._mount = mount
        self._root = os.open(folder, os.O_PATH | os.O_DIRECTORY)  # still the folder below the mount
        self._device = os.open("/dev/fuse", os.O_RDWR)
        self._paths: dict[int, str] = {1: "."}
        self._nodes: dict[str, int] = {".": 1}
        self._streams: dict[int, float] = {}
        self._lock = threading.Lock()
        # Each gets the node, the number of the thread that asks, and what follows the header.
        self._work: Mapping[int, Callable[[int, int, memoryview], bytes]] = {
            _LOOKUP: self._look_up,
            _GETATTR: self._tell_attributes,
            _READLINK: self._read_link,
            _OPEN: self._open,
            _OPENDIR: self._open_folder,
            _READ_FILE: self._read,
            _READDIR: self._read_folder,
            _STATFS: self._statistics,
            _RELEASE: self._release,
            _START: self._start,
            **dict.fromkeys((_FLUSH, _RELEASEDIR, _ACCESS), self._agree),
        }
        data = f"fd={self._device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
        libc = ctypes.CDLL(None, use_errno=True)
        flags = _MS_RDONLY | _MS_NOSUID | _MS_NODEV
        if libc.mount(b"kaggle", os.fsencode(folder), b"fuse", flags, data.encode()) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
        for _ in range(_THREADS):
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _REQUEST)
            except InterruptedError:
                continue
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.EAGAIN}:  # the asking process went away meanwhile
                    continue
                return  # the mount is gone
            _, operation, number, node, _, _, thread, *_ = _HEADER.unpack_from(request)
            code, body = 0, b""
            try:
                work = self._work.get(operation)
                if work is None:
                    code = errno.ENOSYS
                else:
                    body = work(node, thread, memoryview(request)[_HEADER.size :])
            except OSError as error:
                code = error.errno or errno.EIO
            if operation not in _UNANSWERED:
                try:
                    os.write(self._device, _ANSWER.pack(_ANSWER.size + len(body), -code, number) + body)
                except OSError as error:
                    if error.errno != errno.ENOENT:  # the request was interrupted
                        return

    def _path(self, node: int) -> str:
        with self._lock:
            return self._paths[node]

    def _start(self, node: int, thread: int, body: memoryview) -> bytes:
        del node, thread
        _, minor, ahead, offered = _INIT.unpack_from(body)
        wanted = offered & (_ASYNC_READ | _PARALLEL_FOLDERS | _MANY_PAGES)
        # Slow streams read little ahead, so that a stream stays one. Where reads are short, nothing: the
        # kernel asks for single pages of private maps then, which have to come whole.
        ahead = 0 if self._mount.longest_read else min(ahead, 1 << 17)
        return _INIT_ANSWER.pack(
            7, min(_MINOR, minor), ahead, wanted, _THREADS, _THREADS, _PAGE, 1, _MOST_PAGES, 0, 0, 0
        )

    def _look_up(self, node: int, thread: int, body: memoryview) -> bytes:
        del thread
        name = os.fsdecode(bytes(body).rstrip(b"\0"))
        path = os.path.normpath(f"{self._path(node)}/{name}")
        os.stat(path, dir_fd=self._root, follow_symlinks=False)
        with self._lock:
            child = self._nodes.setdefault(path, len(self._nodes) + 1)
            self._paths[child] = path
        return _ENTRY.pack(child, 0, _HOLDS, _HOLDS, 0, 0) + self._attributes(child)

    def _tell_attributes(self, node: int, thread: int, body: memoryview) -> bytes:
        del thread, body
        return struct.pack("<QII", _HOLDS, 0, 0) + self._attributes(node)

    def _read_link(self, node: int, thread: int, body: memoryview) -> bytes:
        del thread, body
        return os.fsencode(os.readlink(self._path(node), dir_fd=self._root))

    def _open_folder(self, node: int, thread: int, body: memoryview) -> bytes:
        del node, thread, body
        return struct.pack("<QIi", 0, 0, 0)

    def _agree(self, node: int, thread: int, body: memoryview) -> bytes:
        del node, thread, body
        return b""

    def _attributes(self, node: int) -> bytes:
        found = os.stat(self._path(node), dir_fd=self._root, follow_symlinks=False)
        times = [divmod(value, 10**9) for value in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)]
        seconds, rests = zip(*times, strict=True)
        return _ATTRIBUTES.pack(
            node, found.st_size, found.st_blocks, *seconds, *rests, found.st_mode, found.st_nlink,
            os.geteuid(), os.getegid(), 0, _PAGE, 0,
        )  # fmt: skip

    def _open(self, node: int, thread: int, body: memoryview) -> bytes:
        del thread, body
        handle = os.open(self._path(node), os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._root)
        # Through the page cache a short answer would be filled up with zeros: such a mount goes without it.
        direct = self._mount.no_maps or self._mount.longest_read
        return struct.pack("<QIi", handle, _DIRECT if direct else _KEEP_CACHE, 0)

    def _release(self, node: int, thread: int, body: memoryview) -> bytes:
        del node, thread
        os.close(int.from_bytes(body[:8], "little"))
        return b""

    def _read(self, node: int, thread: int, body: memoryview) -> bytes:
        del node
        handle, offset, size, _ = _READ.unpack_from(body)
        if self._mount.longest_read and size > _PAGE:
            size = min(size, self._mount.longest_read)
        data = os.pread(handle, size, offset)
        if self._mount.megabytes_per_s:
            # Each thread is a stream: its next bytes begin to come when the last ones have arrived.
            with self._lock:
                begin = max(self._streams.get(thread, 0.0), time.monotonic())
                until = begin + len(data) / (1e6 * self._mount.megabytes_per_s)
                self._streams[thread] = until
            time.sleep(max(0.0, until - time.monotonic()))
        return data

    def _read_folder(self, node: int, thread: int, body: memoryview) -> bytes:
        del thread
        _, offset, size, _ = _READ.unpack_from(body)
        folder = os.open(self._path(node), os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root)
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208  # of an open folder
        finally:
            os.close(folder)
        found = b""
        for number, name in enumerate(names[offset:], offset + 1):
            coded = os.fsencode(name)
            line = struct.pack("<QQII", number, number, len(coded), 0) + coded
            line += b"\0" * (-len(line) % 8)
            if len(found) + len(line) > size:
                break
            found += line
        return found

    def _statistics(self, node: int, thread: int, body: memoryview) -> bytes:
        del node, thread, body
        found = os.fstatvfs(self._root)
        return _STATISTICS.pack(
            found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, found.f_bsize,
            found.f_namemax, found.f_frsize, 0,
        )  # fmt: skip
