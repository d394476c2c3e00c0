"""What a pass leaves on disk: probability maps or run-length coded detections, complete or absent."""

from __future__ import annotations

import io
import itertools
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.artefacts import atomic_stream, read_json, sha256_json, write_bytes
from kit.ensemble import Member
from kit.errors import KitError
from kit.file_names import file_name
from kit.images.info import ImageInfo

T = TypeVar("T")

_LONGEST_VIEW = 100
"""Most characters of a view set in a folder's name: file systems allow 255, and a large set has more."""

ENGINE = 3
"""Version of the engines; raise it when a pass gives another result, so that older files are not used."""

_SYNC_BYTES = 64 << 20
"""Sync rows to the disk after this many bytes, so that the last sync is short."""

_MARKED = 32

_DAMAGED = (
    EOFError,
    KeyError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that numpy and zipfile raise for damaged files."""

Levels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Probabilities as integers: the largest number of the type is probability 1 (255 or 65535)."""


class LevelRows(Protocol):
    """A stored probability map whose rows are read by slicing: an array or a `StoredMap`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, columns."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """`uint8` or `uint16`."""

    def __getitem__(self, rows: slice, /) -> Levels:
        """Return these rows."""


def levels_of(dtype: np.dtype[Any]) -> int:
    """Return the number that stands for probability 1."""
    return int(np.iinfo(dtype).max)


@dataclass(frozen=True)
class CodedDetections:
    """Detections of one member in one image, best score first.

    Attributes:
        height: rows of the image.
        width: columns of the image.
        boxes: float64 (n, 4): x1, y1, x2, y2 in pixels of the image, inside it.
        scores: float64 (n,).
        masks: n COCO compressed counts; no mask is empty.
    """

    height: int
    width: int
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    masks: list[bytes]

    def take(self, order: NDArray[np.int64]) -> CodedDetections:
        """Return the detections at the given positions, in that order."""
        masks = [self.masks[index] for index in order]
        return CodedDetections(self.height, self.width, self.boxes[order], self.scores[order], masks)


def pass_file(
    out: Path,
    member: Member,
    view: str,
    image_id: str,
    *,
    kind: str,
    info: ImageInfo | None = None,
) -> Path:
    """Return the path of the result of one pass over one image.

    The folder's name has a hash of all that decides the result: weights, network, settings, the image's pixel
    size and the version of the engines. So a result of other settings or weights is never taken for this one.

    Args:
        out: root folder of all passes.
        member: the member.
        view: name of the view, or of a set of views.
        image_id: id of the image.
        kind: "semantic" (.npy map), "instance" (.npz detections) or "values" (.json).
        info: what is known of the image.
    """
    identity = sha256_json(
        {
            "engine": ENGINE,
            "weights": member.sha256,
            "network": member.network,
            "inference": member.inference,
            "pixel size": info.pixel_size if info and member.inference.get("pixel_size") else None,
        }
    )
    suffix = {"semantic": ".npy", "instance": ".npz"}.get(kind, ".json")
    folder = view if len(view) <= _LONGEST_VIEW else f"views-{sha256_json(view)[:12]}"
    return out / f"{member.name}-{identity[:12]}" / folder / (file_name(image_id) + suffix)


@contextmanager
def write_map(target: Path, height: int, width: int, stored: str) -> Iterator[MapWriter]:
    """Yield a writer of a .npy map; the file appears when the block ends and has all its rows.

    Args:
        target: the file.
        height: rows of the map.
        width: columns of the map.
        stored: "uint8" or "uint16".

    Raises:
        KitError: the disk is full or the folder is not writable.
    """
    with atomic_stream(target) as stream:
        writer = MapWriter(stream, (height, width), np.dtype(stored).newbyteorder("<"))
        yield writer
        stream.flush()
        if writer.written != height:  # under `python -O`, too: a part must not pass for a map
            raise AssertionError(f"{writer.written} rows of {height} were written")


class MapWriter:
    """Writes a .npy map from its first row to its last, see `write_map`.

    Args:
        stream: the file.
        shape: rows, columns.
        dtype: of the map.
    """

    def __init__(self, stream: BinaryIO, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._stream, self.dtype = stream, dtype
        self.written = self._unsynced = 0
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)

    def append(self, rows_HW: Levels) -> None:
        """Write the next rows.

        Args:
            rows_HW: (any number, width) of `dtype`, contiguous.

        Raises:
            OSError: the disk is full; `write_map` makes a `KitError` of it.
        """
        self._stream.write(rows_HW.data)
        self.written += len(rows_HW)
        self._unsynced += rows_HW.nbytes
        if self._unsynced >= _SYNC_BYTES:
            self._stream.flush()
            os.fdatasync(self._stream.fileno())
            self._unsynced = 0


class StoredMap:
    """A probability map on disk, whose rows are read when they are asked for.

    It is not mapped, because memory of mapped files counts as used until the system takes it back.

    Args:
        path: a two-dimensional .npy of unsigned bytes or 16-bit numbers.

    Attributes:
        shape: rows, columns.
        dtype: `uint8` or `uint16`.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"version {version} of the format")
            shape, fortran, self.dtype = np.lib.format.read_array_header_1_0(stream)
            self._offset = stream.tell()
            size = os.fstat(stream.fileno()).st_size - self._offset
        if len(shape) != 2 or fortran or self.dtype.str not in {"|u1", "<u2"}:
            raise ValueError(f"{shape} numbers of type {self.dtype}")
        self.shape: tuple[int, ...] = shape
        if size != shape[0] * shape[1] * self.dtype.itemsize:
            raise ValueError(f"{size} bytes for {shape[0]} x {shape[1]} pixels")
        self._path = path

    def __getitem__(self, rows: slice) -> Levels:
        """Read the rows start..stop.

        Raises:
            KitError: the file is missing or was cut short after it was opened.
        """
        first, stop, _ = rows.indices(self.shape[0])
        return _load(self._path, lambda: self._read(first, max(stop - first, 0)))

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a map on disk cannot become an array without a copy")
        levels_HW = self[:]
        return levels_HW if dtype is None else levels_HW.astype(dtype)

    def _read(self, first: int, rows: int) -> Levels:
        width = self.shape[1]
        offset = self._offset + first * width * self.dtype.itemsize
        levels = np.fromfile(self._path, self.dtype, rows * width, offset=offset)
        found: Levels = levels.reshape(rows, width)  # ValueError if there are too few numbers
        return found


def open_map(path: Path) -> StoredMap:
    """Open a stored probability map, (H, W), whose rows are read by slicing.

    Raises:
        KitError: the file is missing or damaged.
    """
    return _load(path, lambda: StoredMap(path))


def mark_of(path: Path) -> tuple[int, bool]:
    """Return a checksum of a stored result, and whether it is the same everywhere or holds no detection.

    Of a map, `_MARKED` bands of 8 rows are read, from its top to its bottom.

    Raises:
        KitError: the file is missing or damaged.
    """
    if path.suffix == ".json":
        # Good members agree on words and whole numbers: these tell nothing.
        told = [value for value in read_json(path).values() if not isinstance(value, str) and value % 1]
        return zlib.crc32(repr(told or str(path)).encode()), False
    if path.suffix == ".npz":
        found = load_detections(path)
        return zlib.crc32(found.scores.tobytes(), zlib.crc32(found.boxes.tobytes())), not len(found.scores)
    stored = open_map(path)
    mark, low, high = 0, levels_of(stored.dtype), 0
    for number in range(_MARKED):
        first = max(stored.shape[0] - 8, 0) * number // (_MARKED - 1)
        rows_HW = stored[first : first + 8]
        mark = zlib.crc32(rows_HW.tobytes(), mark)
        low, high = min(low, int(rows_HW.min())), max(high, int(rows_HW.max()))
    return mark, low == high


def save_detections(path: Path, detections: CodedDetections) -> None:
    """Write detections to a .npz file atomically.

    The masks are one array of bytes, `counts`, with the place where each begins in `offsets`: masks of 5 and
    3 bytes have the offsets 0, 5, 8.
    """
    lengths = np.array([len(mask) for mask in detections.masks], np.int64)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        size=np.array([detections.height, detections.width], np.int64),
        boxes=detections.boxes,
        scores=detections.scores,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        counts=np.frombuffer(b"".join(detections.masks), np.uint8),
    )
    write_bytes(path, buffer.getvalue())


def load_detections(path: Path) -> CodedDetections:
    """Read what `save_detections` wrote.

    Raises:
        KitError: the file is missing or damaged.
    """

    def read() -> CodedDetections:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            counts, offsets = stored["counts"].tobytes(), stored["offsets"]
            masks = [counts[start:stop] for start, stop in itertools.pairwise(offsets)]
            height, width = (int(side) for side in stored["size"])
            return CodedDetections(height, width, stored["boxes"], stored["scores"], masks)

    return _load(path, read)


def _load(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except FileNotFoundError as error:
        raise KitError(
            "this pass has no result for the image", where=path, fix="run the pass first"
        ) from error
    except _DAMAGED as error:
        raise KitError(
            f"the result of a pass is damaged: {str(error) or type(error).__name__}",
            where=path,
            fix="delete it and run again",
        ) from error
