import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.errors import KitError
from kit.images.slide import open_slide

SAMPLE = Path(__file__).parents[3] / "sample"


@pytest.mark.parametrize("path", sorted((SAMPLE / "kidney").glob("*/*.tif*")), ids=lambda path: path.stem)
def test_the_sample_slides_are_read_as_tifffile_reads_them(path):
    stored = tifffile.imread(path).squeeze()
    with open_slide(path) as slide:
        band_HWC = slide.read_band(0, slide.height)
    assert np.array_equal(band_HWC, np.moveaxis(stored, 0, 2) if len(stored) == 3 else stored)


CODED = [
    {"compression": "deflate"},
    {"compression": "deflate", "predictor": True},
    {"compression": "lzw"},
    {"compression": "packbits"},
    {"compression": "zstd"},
    {"compression": "jpeg"},
]


@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
@pytest.mark.parametrize("options", CODED, ids=str)
@pytest.mark.parametrize("layout", ["chunky", "planar"])
def test_damaged_pixels_are_an_error_naming_file_and_strip(write, image_HWC, options, giant, layout):
    path = write(image_HWC, layout, rowsperstrip=16, **options)
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages.first.dataoffsets[1], tiff.pages.first.databytecounts[1]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(255 for _ in range(count))
    path.write_bytes(data)
    with open_slide(path, giant=giant, threads=3) as slide:
        for _ in range(2):
            with pytest.raises(KitError) as caught:
                slide.read_band(0, 100)
            assert "strip 1 cannot be decoded" in str(caught.value)
            assert str(path) in str(caught.value)
            assert "copy or download it again" in str(caught.value)
        assert slide.read_band(32, 131).shape == (99, 97, 3)


@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
@pytest.mark.parametrize("codec", ["deflate", "lzw", "packbits", "zstd"])
def test_a_strip_of_too_few_rows_is_an_error(write, image_HWC, codec, giant):
    path = write(image_HWC[:60], rowsperstrip=64, compression=codec)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ImageLength"].overwrite(64)
        tiff.pages.first.tags["RowsPerStrip"].overwrite(64)
    with open_slide(path, giant=giant) as slide, pytest.raises(KitError, match="strip 0 cannot be decoded"):
        slide.read_band(0, 64)


def test_the_same_pixels_whatever_the_threads(write, image_HWC):
    tall_HWC = np.concatenate([image_HWC] * 40)
    path = write(tall_HWC, tile=(32, 48), compression="deflate")
    for threads in (1, 2, 5):
        with open_slide(path, threads=threads) as slide:
            assert np.array_equal(slide.read_band(0, len(tall_HWC)), tall_HWC)


@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
@pytest.mark.parametrize("codec", ["deflate", "lzw", "jpeg"])
def test_several_threads_may_read_the_same_slide(write, image_HWC, codec, giant):
    tall_HWC = np.concatenate([image_HWC] * 20)
    options = {"tile": (64, 64)} if codec == "jpeg" else {"rowsperstrip": 500, "predictor": True}
    path = write(tall_HWC, compression=codec, **options)
    with open_slide(path) as slide:
        expected_HWC = slide.read_band(0, slide.height)
    for _ in range(10):
        with open_slide(path, giant=giant, threads=2) as slide, ThreadPoolExecutor(4) as pool:
            tops = [int(top) for top in np.random.default_rng(1).integers(0, slide.height - 700, 16)]
            bands = pool.map(slide.read_band, tops, [top + 700 for top in tops])
            for top, band_HWC in zip(tops, bands, strict=True):
                assert np.array_equal(band_HWC, expected_HWC[top : top + 700])


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"compression": "jpeg"}], ids=str)
@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
def test_closed_slides_hold_no_file_and_no_mapping(write, image_HWC, options, giant):
    path = write(image_HWC, tile=(32, 48), **options)
    bad = path.with_name("bad.tif")
    bad.write_bytes(path.read_bytes()[:-1])

    def held():
        mapped = Path("/proc/self/maps").read_text().splitlines()
        ours = [line for line in mapped if str(path) in line or line.endswith("(deleted)")]
        return len(list(Path("/proc/self/fd").iterdir())), len(ours)

    gc.collect()
    before = held()
    for _ in range(20):
        with open_slide(path, giant=giant) as slide:
            slide.read_band(0, 60)
        with pytest.raises(KitError):
            open_slide(bad)
    assert held() == before


def test_a_file_replaced_while_it_is_open_is_read_to_its_end(write, image_HWC):
    path = write(image_HWC, rowsperstrip=16, compression="lzw")
    with open_slide(path) as slide:
        top_HWC = slide.read_band(0, 20)
        other = path.with_name("other.tif")
        other.write_bytes(b"something else")
        other.replace(path)
        assert np.array_equal(np.concatenate([top_HWC, slide.read_band(20, 131)]), image_HWC)


def test_a_raw_slide_larger_than_the_room_for_addresses_is_read(tmp_path):
    path = tmp_path / "huge.tif"
    tifffile.memmap(path, shape=(200_000, 100_000, 3), dtype=np.uint8, photometric="rgb", bigtiff=True)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from kit.images.slide import open_slide\n"
        "resource.setrlimit(resource.RLIMIT_AS, (40 << 30, 40 << 30))\n"
        "print(open_slide(Path(sys.argv[1])).read_band(199_999, 200_000).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "(1, 100000, 3)\n", done.stderr


def test_a_slide_larger_than_memory_is_read_where_it_is_needed(tmp_path):
    path = tmp_path / "huge.tif"
    shape = (200_000, 100_000, 3)
    pixels_HWC = tifffile.memmap(path, shape=shape, dtype=np.uint8, photometric="rgb", bigtiff=True)
    pixels_HWC[150_000, 77_777] = (9, 8, 7)
    pixels_HWC.flush()
    with open_slide(path) as slide:
        assert (slide.height, slide.width) == shape[:2]
        assert slide.read_band(149_998, 150_003)[2, 77_777].tolist() == [9, 8, 7]
        assert slide.read_band(199_990, 200_000).shape == (10, 100_000, 3)


WAYS = {
    "raw": {},
    "tiles": {"compression": "zstd", "tile": (512, 512)},
    "one strip": {"compression": "deflate", "predictor": True, "compressionargs": {"level": 1}},
}


@pytest.mark.parametrize("way", WAYS)
def test_memory_is_bands_and_not_slides(tmp_path, way):
    """A child reads 144 MiB; its peak may grow by some bands and decoded pieces, mapped pages included."""
    wide_HWC = np.empty((6144, 8192, 3), np.uint8)
    wide_HWC[:] = np.arange(8192, dtype=np.uint8)[:, None]
    path = tmp_path / "wide.tif"
    rows = {} if way == "tiles" else {"rowsperstrip": len(wide_HWC)}
    tifffile.imwrite(path, wide_HWC, photometric="rgb", **rows, **WAYS[way])
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 << 20


PEAK = """
import sys
from pathlib import Path
import cv2, imagecodecs, tifffile
from kit.images.slide import open_slide

def peak():
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))

before = peak()
with open_slide(Path(sys.argv[1]), threads=2) as slide:
    for top in range(0, slide.height, 256):
        slide.read_band(top, top + 256)
print(peak() - before)
"""


def test_rows_outside_and_closed_slides_are_programming_errors(write, image_HWC):
    with open_slide(write(image_HWC)) as slide:
        for top, bottom in ((-1, 5), (100, 132), (20, 10)):
            with pytest.raises(ValueError, match="of a slide of 131"):
                slide.read_band(top, bottom)
        assert slide.read_band(7, 7).shape == (0, 97, 3)
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read_band(0, 1)


@pytest.mark.parametrize(
    ("missing", "codec"),
    [("tifffile", "jpeg"), ("imagecodecs", "jpeg"), ("imagecodecs", "lzw"), ("imagecodecs", "deflate")],
)
def test_a_missing_library_is_named(write, image_HWC, missing, codec):
    path = write(image_HWC, compression=codec, tile=(32, 48))
    code = (
        "import sys\n"
        f"sys.modules['{missing}'] = None\n"
        "from pathlib import Path\n"
        "from kit.local.program import run_cli\n"
        "from kit.images.slide import open_slide\n"
        "sys.exit(run_cli(lambda argv: open_slide(Path(argv[0])).read_band(0, 1).size))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{missing} is needed for this TIFF" in done.stderr
    assert f"python -m pip install {missing}" in done.stderr
    assert "Traceback" not in done.stderr


def test_raw_slides_need_no_library_for_tiffs(write, image_HWC):
    path = write(image_HWC, "planar", rowsperstrip=16)
    code = (
        "import sys\n"
        "for name in ('tifffile', 'imagecodecs'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from kit.images.slide import open_slide\n"
        "print(open_slide(Path(sys.argv[1])).read_band(7, 8)[0, 9].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(image_HWC[7, 9].tolist())
