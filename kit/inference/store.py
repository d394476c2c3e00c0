"""What a pass leaves on disk: 16-bit probability maps or run-length coded detections, whole or absent."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.artefacts import sha256_json, write_bytes
from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.tiles import Tile

T = TypeVar("T")

LEVELS = 65535
"""A stored 65535 is probability 1."""


@dataclass(frozen=True)
class CodedDetections:
    """Detections of one member in one image, best score first.

    Attributes:
        height: rows of the image.
        width: its columns.
        boxes: float64 (n, 4): x1, y1, x2, y2 in pixels of the image, inside it.
        scores: float64 (n,).
        masks: n COCO compressed run-length strings, never empty masks.
    """

    height: int
    width: int
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    masks: list[bytes]

    def take(self, order: NDArray[np.int64]) -> CodedDetections:
        """The detections at the given positions, in that order."""
        masks = [self.masks[index] for index in order]
        return CodedDetections(self.height, self.width, self.boxes[order], self.scores[order], masks)


def pass_file(out: Path, member: Member, view: str, image_id: str, *, kind: str) -> Path:
    """Where the result of one pass over one image lies.

    The folder's name carries a hash of everything that decides the result (weights, network, settings), so a
    file made by other weights is never taken for this member's.

    Args:
        out: root of all passes.
        member: the network.
        view: name of the view.
        image_id: of the image.
        kind: "semantic" (.npy map) or "instance" (.npz detections).
    """
    identity = sha256_json(
        {"weights": member.sha256, "network": member.network, "inference": member.inference}
    )
    suffix = ".npy" if kind == "semantic" else ".npz"
    return out / f"{member.name}-{identity[:12]}" / view / (image_id + suffix)


class MapWriter:
    """A uint16 .npy map written core by core, row by row of cores; the file appears only when it is whole.

    Holds one row of cores.
    """

    def __init__(self, target: Path, height: int, width: int) -> None:
        self._target, self._height, self._width = target, height, width
        self._band_HW = np.empty((0, width), np.uint16)
        self._band_y0 = self._written = self._filled = 0
        self._temporary: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=self._target.parent, prefix=f".{self._target.name}.", suffix=".tmp"
            )
        except OSError as error:
            raise self._cannot(error) from error
        self._temporary, self._stream = Path(name), os.fdopen(handle, "wb")
        shape = {"descr": "<u2", "fortran_order": False, "shape": (self._height, self._width)}
        np.lib.format.write_array_header_1_0(self._stream, shape)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A full disk was reported when it was met; closing would meet it again.
        with contextlib.suppress(OSError):
            self._stream.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def put(self, tile: Tile, levels_HW: NDArray[np.uint16]) -> None:
        """Write a tile's core; tiles come in the order of `kit.inference.tiles.plan`.

        Args:
            tile: where it lies.
            levels_HW: its values from its top left corner, at least tile.height x tile.width.
        """
        if self._filled == 0:
            self._band_HW, self._band_y0 = np.empty((tile.height, self._width), np.uint16), tile.y0
        self._band_HW[:, tile.x0 : tile.x0 + tile.width] = levels_HW[: tile.height, : tile.width]
        self._filled += tile.width
        if self._filled == self._width:
            try:
                self._stream.write(self._band_HW.astype("<u2", copy=False).tobytes())
            except OSError as error:
                raise self._cannot(error) from error
            self._written, self._filled = self._band_y0 + tile.height, 0

    def finish(self) -> None:
        """Make the file appear.

        Raises:
            KitError: the disk is full or the folder is not writable.
        """
        assert self._written == self._height, "not every core was written"
        assert self._temporary is not None, "the writer was not entered"
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._temporary.chmod(0o644)
            self._temporary.replace(self._target)
        except OSError as error:
            raise self._cannot(error) from error
        self._temporary = None

    def _cannot(self, error: OSError) -> KitError:
        return KitError(
            f"cannot write {self._target.name}: {error.strerror or error}",
            where=self._target.parent,
            fix="free space on that disk or choose a writable scratch folder",
        )


def open_map(path: Path) -> NDArray[np.uint16]:
    """A stored probability map, (H, W), mapped into memory: rows are read when they are used.

    Raises:
        KitError: missing or damaged.
    """

    def read() -> NDArray[np.uint16]:
        levels_HW: NDArray[np.uint16] = np.lib.format.open_memmap(path, mode="r")
        return levels_HW

    return _load(path, read)


def save_detections(path: Path, detections: CodedDetections) -> None:
    """Write detections atomically."""
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
        KitError: missing or damaged.
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
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise KitError(
            f"the result of a pass is damaged: {error}", where=path, fix="delete it and run again"
        ) from error
