import numpy as np
import pytest
import tifffile

from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.intensity_rule import Intensity

FULL = AnyReading(("tiff",), Intensity("full range"))
RNG = np.random.default_rng(3)
COMPRESSIONS = [None, "zlib", "lzw", "packbits"]


def read(path, reading, band=10):
    with reading.open(path) as opened:
        facts = reading.facts(path)
        assert (opened.height, opened.width, opened.notes) == (facts.height, facts.width, facts.notes)
        return np.concatenate(
            [opened.read_band(y, min(y + band, opened.height)) for y in range(0, opened.height, band)]
        )


def samples_of(dtype, channels=1):
    shape = (47, 33) if channels == 1 else (47, 33, channels)
    if np.dtype(dtype).kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    bounds = np.iinfo(dtype)
    return RNG.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_grey_integers_become_their_upper_eight_bits(tmp_path, dtype, compression, byteorder):
    samples_HW = samples_of(dtype)
    path = tmp_path / "a.tif"
    more = {"predictor": 2} if compression in ("zlib", "lzw") else {}
    tifffile.imwrite(
        path,
        samples_HW,
        compression=compression,
        byteorder=byteorder,
        photometric="minisblack",
        rowsperstrip=9,
        **more,
    )
    bits = 8 * samples_HW.itemsize
    expected = (samples_HW.astype(np.int64) - np.iinfo(dtype).min) >> (bits - 8)
    assert np.array_equal(read(path, FULL), np.repeat(expected[..., None], 3, axis=2))
    assert "it is grey: red, green and blue are the same" in FULL.facts(path).notes


@pytest.mark.parametrize("rule", [Intensity("range", -0.5, 1.5), Intensity("percentiles", 2, 98)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i2"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_ranges_and_percentiles(tmp_path, rule, dtype, tile):
    samples_HW = samples_of(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples_HW, photometric="minisblack", tile=tile)
    values_HW = samples_HW.astype(float)
    low, high = (rule.low, rule.high) if rule.form == "range" else np.percentile(values_HW, [2, 98])
    expected = np.clip((values_HW - low) / (high - low) * 255, 0, 255)
    shown_HWC = read(path, AnyReading(("tiff",), rule))
    assert np.abs(shown_HWC - expected[..., None]).max() <= 0.5


def test_numbers_that_are_none_are_black(tmp_path):
    samples_HW = np.array([[np.nan, np.inf, -np.inf, 0.5]], np.float32)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples_HW)
    assert read(path, AnyReading(("tiff",), Intensity("range", 0, 1)))[0, :, 0].tolist() == [0, 255, 0, 128]


def test_numbers_that_are_none_are_black_where_white_is_zero_too(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.array([[np.nan, 1.0, 0.0]], np.float32), photometric="miniswhite")
    assert read(path, AnyReading(("tiff",), Intensity("range", 0, 1)))[0, :, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_of_sixteen_bits(tmp_path, planar):
    samples_HWC = samples_of("u2", 3)
    path = tmp_path / "a.tif"
    shown = samples_HWC if planar == "contig" else samples_HWC.transpose(2, 0, 1)
    tifffile.imwrite(path, shown, photometric="rgb", planarconfig=planar)
    assert np.array_equal(read(path, FULL), samples_HWC >> 8)


@pytest.mark.parametrize("rule", ["inverted", "as stored"])
def test_white_is_zero(tmp_path, rule):
    samples_HW = samples_of("u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples_HW, photometric="miniswhite")
    shown_HWC = read(path, AnyReading(("tiff",), Intensity("full range"), white_is_zero=rule))
    levels_HW = samples_HW >> 8
    assert np.array_equal(shown_HWC[..., 0], 255 - levels_HW if rule == "inverted" else levels_HW)


def test_without_a_rule_only_colours_are_read(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples_of("u1"))
    with pytest.raises(KitError, match="no 3 colour channels"):
        AnyReading(("tiff",)).facts(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": np.zeros((4, 5, 6), "u2"), "photometric": "minisblack"}, "a stack of 4 pages"),
        ({"data": np.zeros((5, 6), bool)}, "1-bit"),
        ({"data": np.zeros((5, 6), "f4"), "compression": "zlib", "predictor": 3}, "floating-point predictor"),
    ],
)
def test_other_tiffs_are_refused_with_the_way_out(tmp_path, options, words):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, **options)
    with pytest.raises(KitError, match=words) as caught:
        AnyReading(("tiff",), Intensity("range", 0, 1)).open(path)
    assert "convert" in caught.value.fix
    assert caught.value.where == str(path)


def test_a_float_has_no_full_range(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples_of("f4"))
    with pytest.raises(KitError, match="floating-point samples"):
        FULL.facts(path)
