import subprocess
import sys

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from kit.errors import KitError
from kit.images.any_reading import AnyReading
from kit.images.dicom_header import read_dicom_header
from kit.images.intensity_rule import Intensity
from tests.kit.images.coded_files import dicom

FULL = AnyReading(("dicom",), Intensity("full range"))
WINDOW = AnyReading(("dicom",), Intensity("dicom window"))
RNG = np.random.default_rng(11)
EXPLICIT, IMPLICIT, DEFLATED, BIG = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)


@pytest.fixture
def put(tmp_path):
    def written(data, name="a.dcm"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return written


def read(path, reading=FULL):
    with reading.open(path) as opened:
        facts = reading.facts(path)
        assert (opened.height, opened.width, opened.notes) == (facts.height, facts.width, facts.notes)
        return opened.read_band(0, opened.height)


def grey(levels_HW):
    return np.repeat(np.asarray(levels_HW)[..., None], 3, axis=2)


def fault(path, reading=FULL):
    with pytest.raises(KitError) as caught:
        reading.open(path)
    assert str(path) in str(caught.value)
    return f"{caught.value.problem} {caught.value.fix}"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED, BIG])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_raw_pixels_of_every_transfer_syntax(put, syntax, dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    samples_HW = RNG.integers(low, high, (19, 12), dtype=dtype, endpoint=True)
    path = put(dicom(samples_HW, syntax=syntax))
    header = read_dicom_header(path)
    assert (header.height, header.width, header.syntax, header.frames) == (19, 12, syntax, 1)
    assert header.kind == ("int" if dtype == "i2" else "uint")
    expected = (samples_HW.astype(int) - low) >> (8 * samples_HW.itemsize - 8)
    assert np.array_equal(read(path), grey(expected))


def encoded(samples, name):
    match name:
        case "ljpeg":
            return imagecodecs.ljpeg_encode(samples, bitspersample=12)
        case "jpegls":
            return imagecodecs.jpegls_encode(samples)
        case "jpeg2k":
            return imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat="j2k")
    raise ValueError(name)


@pytest.mark.parametrize(
    ("syntax", "codec"),
    [
        ("1.2.840.10008.1.2.4.57", "ljpeg"),
        ("1.2.840.10008.1.2.4.70", "ljpeg"),
        ("1.2.840.10008.1.2.4.80", "jpegls"),
        ("1.2.840.10008.1.2.4.81", "jpegls"),
        ("1.2.840.10008.1.2.4.90", "jpeg2k"),
        ("1.2.840.10008.1.2.4.91", "jpeg2k"),
    ],
)
def test_compressed_pixels(put, syntax, codec):
    samples_HW = RNG.integers(0, 4096, (33, 18), dtype=np.uint16)
    path = put(dicom(samples_HW, syntax=syntax, encoded=encoded(samples_HW, codec), stored=12))
    assert np.array_equal(read(path), grey(samples_HW >> 4))


def test_run_lengths(put):
    samples_HW = np.repeat(RNG.integers(0, 4096, (12, 3), dtype=np.uint16), 6, axis=1)
    data = pydicom.dcmread(put(dicom(samples_HW, stored=12)))
    data.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom")
    path = put(b"", "rle.dcm")
    data.save_as(path)
    assert np.array_equal(read(path), grey(samples_HW >> 4))


@pytest.mark.parametrize("colours", ["RGB", "YBR_FULL_422"])
def test_colours_in_a_jpeg(put, colours):
    image_HWC = np.asarray(RNG.integers(0, 256, (16, 24, 3)), np.uint8)
    frame = imagecodecs.jpeg8_encode(image_HWC, level=95)
    data = dicom(image_HWC, syntax="1.2.840.10008.1.2.4.50", encoded=frame, PhotometricInterpretation=colours)
    assert np.array_equal(read(put(data)), imagecodecs.jpeg8_decode(frame, outcolorspace="rgb"))


def test_raw_colours_need_no_rule(put):
    image_HWC = np.asarray(RNG.integers(0, 256, (16, 24, 3)), np.uint8)
    plain = AnyReading(("dicom",))
    assert np.array_equal(read(put(dicom(image_HWC)), plain), image_HWC)
    ybr = put(dicom(image_HWC, PhotometricInterpretation="YBR_FULL"))
    expected = pydicom.pixels.convert_color_space(image_HWC, "YBR_FULL", "RGB")
    assert np.array_equal(read(ybr, plain), expected)
    planar = dicom(
        np.ascontiguousarray(image_HWC.transpose(2, 0, 1)).reshape(16, 24, 3), PlanarConfiguration=1
    )
    assert np.array_equal(read(put(planar), plain), image_HWC)


def test_a_palette(put):
    table = [RNG.integers(0, 1 << 16, 256, dtype=np.uint16) for _ in range(3)]
    elements = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in zip(("Red", "Green", "Blue"), table, strict=True):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = values.astype("<u2").tobytes()
    samples_HW = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
    shown_HWC = read(put(dicom(samples_HW, **elements)), AnyReading(("dicom",)))
    assert np.array_equal(shown_HWC, np.stack([values[samples_HW] >> 8 for values in table], axis=2))


def test_grey_values_need_a_rule(put):
    path = put(dicom(RNG.integers(0, 256, (5, 6), dtype=np.uint8)))
    assert "declare intensity" in fault(path, AnyReading(("dicom",)))
    with pytest.raises(KitError, match="nobody says"):
        AnyReading(("dicom",)).facts(path)


def test_a_range_is_meant_after_the_rescale(put):
    samples_HW = RNG.integers(0, 4096, (20, 30), dtype=np.uint16)
    path = put(dicom(samples_HW, stored=12, RescaleSlope=1, RescaleIntercept=-1024))
    soft = AnyReading(("dicom",), Intensity("range", -160, 240))
    hounsfield_HW = samples_HW.astype(float) - 1024
    expected = np.clip((hounsfield_HW + 160) / 400 * 255, 0, 255)
    assert np.abs(read(path, soft)[..., 0] - expected).max() <= 0.5
    of_each = AnyReading(("dicom",), Intensity("percentiles", 5, 95))
    low, high = np.percentile(hounsfield_HW, [5, 95])
    expected = np.clip((hounsfield_HW - low) / (high - low) * 255, 0, 255)
    assert np.abs(read(path, of_each)[..., 0] - expected).max() <= 0.5


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("several", [False, True])
def test_the_files_own_window_is_as_pydicom_applies_it(put, function, several):
    samples_HW = RNG.integers(0, 4096, (20, 30), dtype=np.uint16)
    more = {} if function is None else {"VOILUTFunction": function}
    centre, width = ([40, 300], [400, 1500]) if several else (40, 400)
    data = dicom(
        samples_HW,
        stored=12,
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=centre,
        WindowWidth=width,
        **more,
    )
    path = put(data)
    known = pydicom.dcmread(path)
    out_HW = apply_voi_lut(apply_modality_lut(samples_HW, known), known)
    low, high = -1024, 2 * 4095 - 1024  # the range that pydicom stretches the window to
    expected = (out_HW - low) / (high - low) * 255
    assert np.abs(read(path, WINDOW)[..., 0] - expected).max() <= 0.75


@pytest.mark.parametrize("width", [0, -1, None])
def test_a_window_without_a_width_is_none(put, width):
    more = {} if width is None else {"WindowWidth": width}
    path = put(dicom(np.zeros((4, 4), np.uint16), WindowCenter=3, **more))
    with pytest.raises(KitError, match="states no window"):
        WINDOW.open(path)


def test_a_file_without_a_window_is_named(put):
    path = put(dicom(RNG.integers(0, 256, (5, 6), dtype=np.uint16)))
    assert "states no window" in fault(path, WINDOW)
    with pytest.raises(KitError, match="states no window"):
        WINDOW.facts(path)


@pytest.mark.parametrize("window", [(40, 0), (40, -5), ("", 400), (40, ""), (None, 400), (40, None)])
def test_half_a_window_or_one_without_a_width_is_none(put, window):
    names = ("WindowCenter", "WindowWidth")
    more = {name: number for name, number in zip(names, window, strict=True) if number is not None}
    path = put(dicom(RNG.integers(0, 256, (5, 6), dtype=np.uint16), **more))
    assert "states no window" in fault(path, WINDOW)
    with pytest.raises(KitError, match="states no window"):
        WINDOW.facts(path)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("rule", [Intensity("dicom window"), Intensity("range", -200, 400)])
def test_sign_rescale_window_and_inversion_together(put, photometric, rule):
    samples_HW = RNG.integers(-1000, 2000, (20, 30)).astype(np.int16)
    more = {"RescaleSlope": 0.5, "RescaleIntercept": -100, "WindowCenter": 40, "WindowWidth": 401}
    path = put(dicom(samples_HW, PhotometricInterpretation=photometric, **more))
    value_HW = samples_HW * 0.5 - 100
    # PS3.3 C.11.2.1.2: a window of width 401 around 40 goes from 39.5 - 200 to 39.5 + 200.
    low, high = (39.5 - 200, 39.5 + 200) if rule.form == "dicom window" else (-200, 400)
    expected = np.clip((value_HW - low) / (high - low), 0, 1) * 255
    expected = 255 - expected if photometric == "MONOCHROME1" else expected
    found = read(path, AnyReading(("dicom",), rule))
    assert np.abs(found[..., 0] - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("rule", ["inverted", "as stored"])
def test_white_is_zero(put, rule):
    samples_HW = RNG.integers(0, 1 << 16, (5, 6), dtype=np.uint16)
    path = put(dicom(samples_HW, PhotometricInterpretation="MONOCHROME1"))
    reading = AnyReading(("dicom",), Intensity("full range"), white_is_zero=rule)
    levels_HW = samples_HW >> 8
    assert np.array_equal(read(path, reading), grey(255 - levels_HW if rule == "inverted" else levels_HW))
    assert any("MONOCHROME1" in note for note in reading.facts(path).notes)


def test_bits_that_are_not_stored_do_not_count(put):
    samples_HW = RNG.integers(0, 1 << 16, (9, 7), dtype=np.uint16)
    path = put(dicom(samples_HW, stored=12))
    assert np.array_equal(read(path), grey((samples_HW & 0xFFF) >> 4))
    signed_HW = RNG.integers(-2048, 2048, (9, 7), dtype=np.int16)
    path = put(dicom((signed_HW & 0xFFF).astype(np.int16), stored=12))
    assert np.array_equal(read(path), grey((signed_HW.astype(int) + 2048) >> 4))


def test_floats(put):
    samples_HW = RNG.normal(size=(5, 6)).astype(np.float32)
    data = pydicom.dcmread(put(dicom(samples_HW.view(np.uint32))))
    del data.PixelData, data.PixelRepresentation, data.BitsStored, data.HighBit
    data.FloatPixelData = samples_HW.tobytes()
    path = put(b"", "float.dcm")
    data.save_as(path)
    reading = AnyReading(("dicom",), Intensity("range", -1, 1))
    expected = np.clip((samples_HW + 1) / 2 * 255, 0, 255)
    assert np.abs(read(path, reading)[..., 0] - expected).max() <= 0.5
    assert 'no "full range"' in fault(path)


def test_several_frames_are_refused_with_the_way_out(put):
    samples_HW = RNG.integers(0, 9, (8, 6), dtype=np.uint8)
    path = put(dicom(samples_HW, Rows=4, NumberOfFrames=2))
    assert "2 frames" in fault(path)


def test_another_transfer_syntax_is_named(put):
    path = put(dicom(np.zeros((8, 8), np.uint8), syntax="1.2.840.10008.1.2.4.100", encoded=b"mpeg"))
    assert "1.2.840.10008.1.2.4.100" in fault(path)


def test_files_of_old_without_a_preamble(put):
    samples_HW = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
    for syntax in (IMPLICIT, EXPLICIT):
        data = dicom(samples_HW, syntax=syntax)
        start = data.index(b"\x08\0\x16\0")  # its first element behind the part that tells the syntax
        assert np.array_equal(read(put(data[start:])), grey(samples_HW))


def test_nested_sequences_are_passed_over(put):
    from pydicom.sequence import Sequence

    inner = pydicom.Dataset()
    inner.Rows, inner.Columns = 1, 1
    outer = pydicom.Dataset()
    outer.ReferencedImageSequence = Sequence([inner, inner])
    sequence = Sequence([outer])
    sequence.is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    samples_HW = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
    path = put(dicom(samples_HW, ReferencedStudySequence=sequence))
    assert read_dicom_header(path).height == 5
    assert np.array_equal(read(path), grey(samples_HW))


def test_a_file_that_is_cut_anywhere_is_refused(put):
    data = dicom(RNG.integers(0, 256, (16, 16), dtype=np.uint8))
    for length in [*range(1, 600, 13), *range(600, len(data) - 1, 37)]:
        assert fault(put(data[:length]))


@given(st.data())
def test_no_byte_that_is_wrong_leads_to_anything_but_an_error_in_words(tmp_path_factory, data):
    samples_HW = np.arange(48, dtype=np.uint16).reshape(6, 8)
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT]))
    bad = bytearray(dicom(samples_HW, syntax=syntax, WindowCenter=3, WindowWidth=9))
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(132, len(bad) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bad") / "a.dcm"
    path.write_bytes(bytes(bad))
    try:
        with WINDOW.open(path) as opened:
            assert opened.read_band(0, opened.height).shape[2] == 3
    except KitError as error:
        told = error.where
    else:
        told = str(path)
    assert told == str(path)


def test_the_header_needs_the_standard_library_alone(put):
    path = put(dicom(np.zeros((3, 4), np.uint16)))
    code = (
        "import sys\nfrom pathlib import Path\nfrom kit.images.any_reading import AnyReading\n"
        "from kit.images.intensity_rule import Intensity\n"
        "print(AnyReading(('dicom',), Intensity('full range')).facts(Path(sys.argv[1])).height)\n"
        "assert not {'numpy', 'pydicom', 'imagecodecs'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "3\n", done.stderr
