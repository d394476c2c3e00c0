"""Compare the speed of our slide reader with rasterio, with zarr, and with the codec alone.

Each row is a way to store the same tissue. Each reader opens the file and reads it in full-width bands from
top to bottom. The readers take turns, and the file is in the page cache. Ours returns uint8 (rows, width, 3).
The peers may return what is quickest for them: another order of the axes, or 16-bit samples as they are
stored.
"""

from __future__ import annotations

import statistics
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.child import ROOT
from benchmarks.rounds import in_turns
from kit.errors import KitError
from kit.images import lzw
from kit.images.decode_threads import processors
from kit.images.reflection import reflected
from kit.images.slide import open_slide

HEAD = (
    "stored as",
    "MiB",
    "ours ms",
    "rasterio ms",
    "zarr ms",
    "best peer / ours",
    "codec or copy alone ms",
    "share of that limit",
)
SAMPLE = ROOT / "sample" / "kidney" / "train" / "1008.tiff"
_SIDE, _SMALL = 12288, 512
_BAND, _WINDOW = 1024, 1024


@dataclass(frozen=True)
class Stored:
    """A way to store an image.

    Attributes:
        name: first cell of the row.
        options: of tifffile's writer.
        layout: "chunky" (RGB RGB ...), "planar" (all R, all G, all B) or "pages" (one page per colour).
        deep: 16 bits per sample instead of 8.
        skip: peers that can't read it, or need minutes.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    layout: str = "chunky"
    deep: bool = False
    skip: tuple[str, ...] = ()


_TILES = {"tile": (512, 512)}
_STRIPS = {"rowsperstrip": 64}
WAYS = (
    Stored("raw strips, chunky", _STRIPS),
    Stored("raw strips, planar", _STRIPS, "planar"),
    Stored("raw strips, three pages", _STRIPS, "pages"),
    Stored("raw tiles of 512", _TILES),
    Stored("raw strips, 16 bits", _STRIPS, deep=True),
    Stored("deflate, tiles of 512", _TILES | {"compression": "deflate"}),
    Stored("deflate, tiles of 512, three pages", _TILES | {"compression": "deflate"}, "pages"),
    Stored("deflate, strips of 64 rows, planar", _STRIPS | {"compression": "deflate"}, "planar"),
    Stored(
        "deflate, one strip a plane",
        {"rowsperstrip": 1 << 31, "compression": "deflate"},
        "planar",
        skip=("zarr",),
    ),
    Stored("LZW with differences, strips of 64 rows", _STRIPS | {"compression": "lzw", "predictor": True}),
    Stored(
        "LZW with differences, tiles of 256", {"tile": (256, 256), "compression": "lzw", "predictor": True}
    ),
    Stored("zstd, tiles of 512", _TILES | {"compression": "zstd"}),
    Stored("JPEG, tiles of 512", _TILES | {"compression": "jpeg", "compressionargs": {"level": 85}}),
    Stored(
        "JPEG, tiles of 256", {"tile": (256, 256), "compression": "jpeg", "compressionargs": {"level": 85}}
    ),
)

Reader = Callable[[Path], Iterator[NDArray[Any]]]


def rows(*, small: bool, rounds: int) -> Iterator[list[str]]:
    """Yield rows under `HEAD`, one per way to store the image.

    Args:
        small: use an image of 512 x 512.
        rounds: number of rounds after one to warm up; each reader reads the file once per round.

    Raises:
        KitError: a reader gives wrong pixels, so its time would mean nothing.
    """
    side = _SMALL if small else _SIDE
    image_HWC = _tissue(side)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        for way in WAYS:
            _write(path, image_HWC, way)
            yield _row(path, way, side, rounds)


def _row(path: Path, way: Stored, side: int, rounds: int) -> list[str]:
    readers: dict[str, Reader] = {"ours": _ours, "rasterio": _rasterio, "zarr": _zarr}
    readers = {name: reader for name, reader in readers.items() if name not in way.skip}
    for name, reader in readers.items():
        _require_same(name, reader, path, way)
    limit = _Limit(path)
    calls: dict[str, Callable[[], object]] = {
        name: lambda reader=reader: deque(reader(path), maxlen=0)  # type: ignore[misc]  # binds this reader
        for name, reader in readers.items()
    }
    seconds = in_turns(calls | {"limit": limit.run}, rounds)
    # Times are per 1024 x 1024 pixels, the size of a usual window: a slide of 12288 x 12288 has 12 * 12 = 144
    # of them, so 500 ms for the slide are shown as 3.47 ms.
    windows = (side / _WINDOW) ** 2
    shown = {name: 1000 * statistics.median(taken) / windows for name, taken in seconds.items()}
    # The quicker one of the peers counts, whichever that is for this file.
    ratio = min(shown[name] for name in readers if name != "ours") / shown["ours"]
    return [
        way.name,
        f"{path.stat().st_size / 2**20:.0f}",
        *(f"{shown[name]:.2f}" if name in shown else "-" for name in ("ours", "rasterio", "zarr")),
        f"{ratio:.2f}",
        f"{shown['limit']:.2f}",
        f"{shown['limit'] / shown['ours']:.0%}",
    ]


def _ours(path: Path) -> Iterator[NDArray[Any]]:
    with open_slide(path) as slide:
        for top in range(0, slide.height, _BAND):
            yield slide.read_band(top, min(top + _BAND, slide.height))


def _rasterio(path: Path) -> Iterator[NDArray[Any]]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.windows import Window

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, num_threads="all_cpus") as first:
            names = first.subdatasets or [str(path)]
        files = [rasterio.open(name, num_threads="all_cpus") for name in names]
    try:
        height, width = files[0].shape
        for top in range(0, height, _BAND):
            window = Window(0, top, width, min(_BAND, height - top))
            bands = [file.read(window=window) for file in files]
            yield bands[0] if len(bands) == 1 else np.concatenate(bands)
    finally:
        for file in files:
            file.close()


def _zarr(path: Path) -> Iterator[NDArray[Any]]:
    import tifffile
    import zarr

    with tifffile.TiffFile(path) as tiff:
        stores = [series.aszarr() for series in tiff.series]
        arrays: list[Any] = [zarr.open(store, mode="r") for store in stores]
        chunky = arrays[0].shape[-1] == 3
        height = arrays[0].shape[0 if chunky else -2]
        for top in range(0, height, _BAND):
            bands = [
                array[top : top + _BAND] if chunky else array[..., top : top + _BAND, :] for array in arrays
            ]
            yield bands[0] if len(bands) == 1 else np.stack(bands)
        for store in stores:
            store.close()


def _require_same(name: str, reader: Reader, path: Path, way: Stored) -> None:
    """Check that a reader gives the pixels that tifffile reads.

    Raises:
        KitError: it does not.
    """
    # Every 7th row is compared, which is enough to find a wrong order of colours, rows or tiles. Decoders of
    # JPEG round differently: there the mean difference may be up to 1 of 255. Ours returns the upper 8 of 16
    # bits.
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        stored = np.stack([series.asarray() for series in tiff.series])
    expected_HWC = (
        stored[0] if way.layout == "chunky" else np.moveaxis(stored.reshape(3, *stored.shape[-2:]), 0, 2)
    )
    top = 0
    for band in reader(path):
        band_HWC = band if band.shape[2] == 3 else np.moveaxis(band, 0, 2)
        expected = expected_HWC[top : top + len(band_HWC)]
        if band.dtype != expected.dtype:
            expected = (expected >> 8).astype(band.dtype)
        far = np.abs(band_HWC[::7].astype(np.int32) - expected[::7])
        if far.mean() > (1 if "JPEG" in way.name else 0):
            raise KitError(f"{name} reads wrong pixels from a slide stored as {way.name!r}", where=path)
        top += len(band_HWC)


class _Limit:
    """The least work of any reader: decode each stored piece, or copy it where it is not compressed.

    It uses the quickest codec we know, writes into memory that it uses again, and has as many threads as
    ours.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        with tifffile.TiffFile(path) as tiff:
            pages = list(tiff.pages)
            self._pieces = [
                piece for page in pages for piece in zip(page.dataoffsets, page.databytecounts, strict=True)
            ]
            first: Any = pages[0]
            self._shape = (*first.chunks, *(1,) * (3 - len(first.chunks)))[-3:]
            self._dtype, self._tables = first.dtype, first.jpegtables
            self._code = int(first.compression)
        self._path = path

    def run(self) -> None:
        """Decode or copy the file once."""
        stored = np.memmap(self._path, np.uint8, "r")
        with ThreadPoolExecutor(processors()) as executor:
            share = processors()
            # With 2 threads: the first one decodes the pieces 0, 2, 4, ..., the second one 1, 3, 5, ...
            for future in [executor.submit(self._work, stored, self._pieces[k::share]) for k in range(share)]:
                future.result()

    def _work(self, stored: NDArray[np.uint8], pieces: list[tuple[int, int]]) -> None:
        import imagecodecs

        codecs: Any = imagecodecs
        out_HWC = np.empty(self._shape, self._dtype)
        flat = out_HWC.reshape(-1).view(np.uint8)
        # TIFF's numbers of compression: 1 none, 5 LZW, 7 JPEG, 8 deflate, 50000 zstd. A piece is a strip or a
        # tile.
        for offset, count in pieces:
            data = stored[offset : offset + count]
            if self._code == 1:
                # An uncompressed file can store one piece that is larger than `flat`: it is copied in parts.
                for start in range(0, count, len(flat)):
                    np.copyto(flat[: count - start], data[start : start + len(flat)])
            elif self._code == 5:
                # libtiff decodes LZW into given memory, but it wants a TIFF: a small header comes before the
                # bytes.
                head = lzw.head(count, out_HWC, 2, "little")
                codecs.tiff_decode(head + data.tobytes(), out=out_HWC)
            elif self._code == 7:
                codecs.jpeg_decode(data, tables=self._tables)
            else:
                decode = codecs.zstd_decode if self._code == 50000 else codecs.deflate_decode
                decode(data, out=flat)


def _tissue(side: int) -> NDArray[np.uint8]:
    """Return real tissue, mirrored until it is large enough, uint8 (side, side, 3)."""
    # Mirrored rows repeat exactly. Deflate and zstd would find such copies and store a reference of a few
    # bytes instead, so decoding would be unnaturally quick. Noise of -2 to 2, like a scanner's, makes each
    # copy different.
    with open_slide(SAMPLE) as slide:
        region_HWC = slide.read_band(0, slide.height)
    down, across = (reflected(0, side, size) for size in region_HWC.shape[:2])
    tissue_HWC: NDArray[np.uint8] = region_HWC[down][:, across]
    random = np.random.default_rng(0)
    for top in range(0, side, _BAND):
        part_HWC = tissue_HWC[top : top + _BAND]
        noise_HWC = random.integers(-2, 3, part_HWC.shape, np.int16)
        part_HWC[:] = (part_HWC + noise_HWC).clip(0, 255)
    return tissue_HWC


def _write(path: Path, image_HWC: NDArray[np.uint8], way: Stored) -> None:
    import tifffile

    # "rowsperstrip" of 1 << 31 means one strip for the image; tifffile wants the true number of rows then.
    stored = image_HWC.astype(np.uint16) << 8 if way.deep else image_HWC
    rows = (
        {"rowsperstrip": min(way.options["rowsperstrip"], len(stored))}
        if "rowsperstrip" in way.options
        else {}
    )
    options = {**way.options, **rows}
    if way.layout == "chunky":
        tifffile.imwrite(path, stored, photometric="rgb", **options)
    elif way.layout == "planar":
        tifffile.imwrite(
            path, np.moveaxis(stored, 2, 0), photometric="rgb", planarconfig="separate", **options
        )
    else:
        with tifffile.TiffWriter(path) as tiff:
            for channel in range(3):
                tiff.write(stored[..., channel], photometric="minisblack", contiguous=False, **options)
