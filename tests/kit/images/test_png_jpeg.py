import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from kit.errors import KitError
from kit.images import whole_image
from kit.images.any_reading import AnyReading
from kit.images.intensity_rule import Intensity
from kit.images.jpeg_header import read_jpeg_header
from kit.images.png_header import read_png_header
from tests.kit.images.coded_files import exif, jpeg, png

PNGS, JPEGS = AnyReading(("png",)), AnyReading(("jpeg",))
FULL = AnyReading(("png",), Intensity("full range"))
RNG = np.random.default_rng(5)


@pytest.fixture
def put(tmp_path):
    def written(data, name="a.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return written


def read(path, reading=PNGS, band=7):
    """All rows, read in bands."""
    with reading.open(path) as opened:
        facts = reading.facts(path)
        assert (opened.height, opened.width, opened.notes) == (facts.height, facts.width, facts.notes)
        rows = [opened.read_band(y, min(y + band, opened.height)) for y in range(0, opened.height, band)]
    return np.concatenate(rows)


def fault(path, reading=PNGS):
    """What is said of a file, by its header or else by its decoder."""
    with pytest.raises(KitError) as caught:
        reading.open(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_colour_type_of_png_becomes_rgb(put, channels, interlaced):
    samples_HWC = RNG.integers(0, 256, (37, 23, channels))
    path = put(png(samples_HWC, interlaced=interlaced))
    shown_HWC = np.repeat(samples_HWC[..., :1], 3, axis=2) if channels < 3 else samples_HWC[..., :3]
    assert np.array_equal(read(path), shown_HWC)
    assert read_png_header(path).interlaced == interlaced
    notes = " ".join(PNGS.facts(path).notes)
    assert ("it is grey" in notes) == (channels < 3)
    assert ("alpha" in notes) == (channels in (2, 4))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_stretched_to_the_whole_range(put, bits):
    samples_HWC = RNG.integers(0, 1 << bits, (9, 13, 1))
    path = put(png(samples_HWC, bits))
    assert np.array_equal(read(path)[..., 0], samples_HWC[..., 0] * (255 // ((1 << bits) - 1)))
    assert f"its samples of {bits} bits are stretched to 0..255" in PNGS.facts(path).notes


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_the_colours_of_a_palette_are_taken(put, bits, transparent):
    palette = RNG.integers(0, 256, (1 << bits, 3))
    samples_HWC = RNG.integers(0, 1 << bits, (11, 6, 1))
    more = [(b"tRNS", b"\0")] if transparent else []
    path = put(png(samples_HWC, bits, palette=palette, more=more))
    assert np.array_equal(read(path), palette[samples_HWC[..., 0]])
    assert "the colours of its palette are taken" in PNGS.facts(path).notes


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_changes_no_pixel(put, channels):
    samples_HWC = RNG.integers(0, 256, (5, 6, channels))
    path = put(png(samples_HWC, more=[(b"tRNS", struct.pack(f">{channels}H", *samples_HWC[0, 0].tolist()))]))
    assert np.array_equal(read(path), np.broadcast_to(samples_HWC, (5, 6, 3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_need_a_rule(put, channels):
    samples_HWC = RNG.integers(0, 1 << 16, (21, 5, channels))
    path = put(png(samples_HWC, 16))
    for call in (PNGS.facts, PNGS.open):
        with pytest.raises(KitError, match=r"16-bit uint (grey|RGB) samples, and nobody says") as caught:
            call(path)
        assert "intensity" in caught.value.fix
    shown_HWC = np.broadcast_to(samples_HWC, (21, 5, 3))
    assert np.array_equal(read(path, FULL), shown_HWC >> 8)
    fixed = AnyReading(("png",), Intensity("range", 1000, 5000))
    expected = np.clip((shown_HWC - 1000) / 4000 * 255, 0, 255)
    assert np.abs(read(path, fixed) - expected).max() <= 0.5
    of_each = AnyReading(("png",), Intensity("percentiles", 10, 90))
    low, high = np.percentile(samples_HWC, [10, 90])
    expected = np.clip((shown_HWC - low) / (high - low) * 255, 0, 255)
    assert np.abs(read(path, of_each) - expected).max() <= 0.5


def test_percentiles_of_an_image_of_one_value_are_black(put):
    path = put(png(np.full((4, 4, 1), 700), 16))
    assert not read(path, AnyReading(("png",), Intensity("percentiles", 1, 99))).any()


def test_a_rule_holds_for_eight_bits_too(put):
    samples_HWC = RNG.integers(0, 256, (4, 4, 3))
    dark = AnyReading(("png",), Intensity("range", 0, 510))
    assert np.abs(read(put(png(samples_HWC)), dark) - samples_HWC / 2).max() <= 0.5


def test_significant_bits_are_told_and_change_nothing(put):
    samples_HWC = RNG.integers(0, 1 << 16, (3, 3, 1))
    path = put(png(samples_HWC, 16, more=[(b"sBIT", b"\x0c")]))
    assert "it says that 12 of its 16 bits are significant" in FULL.facts(path).notes
    assert np.array_equal(read(path, FULL)[..., 0], samples_HWC[..., 0] >> 8)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}, {"restart_marker_rows": 1}]
)
def test_jpegs_are_what_pillow_reads(put, options):
    image_HWC = np.asarray(RNG.integers(0, 256, (40, 56, 3)), np.uint8)
    data = jpeg(image_HWC, **options)
    path = put(data, "a.jpg")
    assert np.array_equal(read(path, JPEGS), np.array(Image.open(io.BytesIO(data))))
    assert JPEGS.facts(path).notes == ()


def test_a_grey_jpeg_is_grey(put):
    data = jpeg(np.asarray(RNG.integers(0, 256, (9, 10)), np.uint8))
    shown_HW = np.array(Image.open(io.BytesIO(data)))
    assert np.array_equal(read(put(data, "a.jpeg"), JPEGS), np.repeat(shown_HW[..., None], 3, axis=2))


def test_a_jpeg_whose_samples_are_rgb(put):
    stream = io.BytesIO()
    image_HWC = np.asarray(RNG.integers(0, 256, (16, 16, 3)), np.uint8)
    Image.fromarray(image_HWC).save(stream, "JPEG", quality=100, subsampling=0, keep_rgb=True)
    path = put(stream.getvalue(), "a.jpg")
    assert np.abs(read(path, JPEGS).astype(int) - image_HWC).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_an_orientation_is_told_and_followed_only_where_the_definition_says_so(put, orientation, form):
    image_HWC = np.asarray(RNG.integers(0, 256, (8, 16, 3)), np.uint8)
    if form == "png":
        data = png(image_HWC, more=[(b"eXIf", exif(orientation, ">"))])
    else:
        data = jpeg(image_HWC, orientation=orientation, subsampling=0)
    path = put(data, f"a.{form}")
    stored_HWC = np.array(Image.open(io.BytesIO(data)))
    reading = AnyReading((form,))
    assert np.array_equal(read(path, reading), stored_HWC)
    told = f"its EXIF orientation is {orientation}: rows and columns stay as stored"
    assert (told in reading.facts(path).notes) == (orientation != 1)
    turning = AnyReading((form,), orientation="exif")
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(read(path, turning), np.array(upright.convert("RGB")))


def test_the_content_counts_and_not_the_name(put):
    image_HWC = np.asarray(RNG.integers(0, 256, (8, 16, 3)), np.uint8)
    path = put(jpeg(image_HWC), "a.png")
    assert PNGS.facts(path).notes == ("it is a JPEG although its name ends with .png",)
    assert read(path).shape == (8, 16, 3)


def test_inks_are_refused(put):
    stream = io.BytesIO()
    Image.new("CMYK", (8, 8), (1, 2, 3, 4)).save(stream, "JPEG")
    assert "CMYK or YCCK inks" in fault(put(stream.getvalue(), "a.jpg"), JPEGS)


@pytest.mark.parametrize("kind", [0xC3, 0xC9])
def test_other_kinds_of_jpeg_are_named(put, kind):
    data = bytearray(jpeg(np.zeros((8, 8, 3), np.uint8)))
    data[data.index(b"\xff\xc0") + 1] = kind
    assert "lossless, hierarchical or arithmetic" in fault(put(bytes(data)), JPEGS)


def test_twelve_bits_in_a_jpeg_are_named(put):
    data = bytearray(jpeg(np.zeros((8, 8, 3), np.uint8)))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert "samples of 12 bits" in fault(put(bytes(data)), JPEGS)


def test_a_file_that_is_cut_anywhere_is_refused(put):
    image_HWC = np.asarray(RNG.integers(0, 256, (16, 16, 3)), np.uint8)
    for data, reading in ((png(image_HWC), PNGS), (jpeg(image_HWC), JPEGS)):
        for length in [*range(0, 200, 7), *range(200, len(data) - 2, 61)]:
            assert fault(put(data[:length]), reading)


def test_what_is_appended_does_not_matter(put):
    image_HWC = np.asarray(RNG.integers(0, 256, (16, 16, 3)), np.uint8)
    film = bytes(RNG.integers(0, 256, 200_000, np.uint8)).replace(b"\xff\xd9", b"\0\0")
    data = jpeg(image_HWC)
    assert np.array_equal(read(put(data + film), JPEGS), np.array(Image.open(io.BytesIO(data))))
    assert np.array_equal(read(put(png(image_HWC) + b"more")), image_HWC)


@given(st.data())
def test_no_byte_that_is_wrong_leads_to_anything_but_an_error_in_words(tmp_path_factory, data):
    image_HWC = np.arange(8 * 16 * 3, dtype=np.uint8).reshape(8, 16, 3)
    good, reading = data.draw(st.sampled_from([(png(image_HWC), PNGS), (jpeg(image_HWC), JPEGS)]))
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("bad") / "a.png"
    path.write_bytes(bytes(bad))
    try:
        shown_HWC = read(path, reading)
    except KitError as error:
        told = error.where
    else:
        told = str(path)
        assert shown_HWC.shape[2] == 3
    assert told == str(path)


def test_a_size_that_the_pixels_do_not_have_takes_no_memory(put):
    good = png(np.zeros((4, 4, 1)))
    head = good[12:16] + struct.pack(">II", 60_000, 60_000) + good[24:29]
    path = put(good[:12] + head + struct.pack(">I", zlib.crc32(head)) + good[33:])
    assert "cannot hold the 3600000000 bytes" in fault(path)
    data = bytearray(jpeg(np.zeros((8, 8, 3), np.uint8)))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    assert "cannot hold" in fault(put(bytes(data)), JPEGS)


def test_large_images_are_decoded_once_into_a_file(put, tmp_path, monkeypatch):
    monkeypatch.setattr(whole_image, "IN_MEMORY", 100)
    monkeypatch.setattr(whole_image, "_RELEASE_BYTES", 200)
    samples_HWC = RNG.integers(0, 1 << 16, (64, 32, 3))
    path = put(png(samples_HWC, 16))
    assert np.array_equal(read(path, FULL, band=5), samples_HWC >> 8)
    with FULL.open(path, scratch=tmp_path) as opened:
        path.unlink()  # the file is not needed again
        for y in (60, 0, 30):
            assert np.array_equal(opened.read_band(y, y + 4), samples_HWC[y : y + 4] >> 8)


def test_no_room_for_a_large_image_is_told_with_the_place(put, tmp_path, monkeypatch):
    monkeypatch.setattr(whole_image, "IN_MEMORY", 100)
    path = put(png(RNG.integers(0, 256, (64, 32, 3))))
    with pytest.raises(KitError, match="no room to decode the 64 x 32 pixels") as caught:
        PNGS.open(path, scratch=tmp_path / "missing")
    assert "TMPDIR" in caught.value.fix


@pytest.mark.parametrize("size", [(65_500, 1), (1, 65_500), (1, 70_001)])
def test_long_sides(put, size):
    image_HWC = np.asarray(RNG.integers(0, 256, (*size, 3)), np.uint8)
    assert np.array_equal(read(put(png(image_HWC)), band=9000), image_HWC)
    if max(size) < 65_501:
        data = jpeg(image_HWC)
        shown_HWC = read(put(data, "a.jpg"), JPEGS, band=9000)
        assert np.array_equal(shown_HWC, np.array(Image.open(io.BytesIO(data))))


def test_a_jpeg_with_more_columns_than_any_decoder_reads_is_named(put):
    data = bytearray(jpeg(np.zeros((8, 8, 3), np.uint8)))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 8, 65_535)
    assert "more than 65500 pixels on a side (8 x 65535)" in fault(put(bytes(data)), JPEGS)


def test_rows_outside_and_closed_images_are_programming_errors(put):
    path = put(png(np.zeros((4, 4, 3))))
    with PNGS.open(path) as opened:
        for rows in ((-1, 2), (2, 1), (0, 5)):
            with pytest.raises(ValueError, match="rows"):
                opened.read_band(*rows)
        band_HWC = opened.read_band(0, 4)
        band_HWC[:] = 9  # the caller's own
        assert not opened.read_band(0, 4).any()
    with pytest.raises(ValueError, match="closed"):
        opened.read_band(0, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<html>", "no TIFF, PNG, JPEG or DICOM"),
        (b"GIF89a" + bytes(200), "GIF file"),
        (b"BM" + bytes(200), "BMP file"),
        (b"RIFF" + bytes(200), "WebP file"),
        (b"II*\0" + bytes(200), "TIFF file, but the definition says PNG"),
        (bytes(128) + b"DICM", "DICOM file, but the definition says PNG"),
    ],
)
def test_other_files_are_named(put, content, words):
    assert words in fault(put(content))


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(KitError, match="image is missing"):
        PNGS.facts(tmp_path / "none.png")
    with pytest.raises(KitError, match="cannot be read"):
        PNGS.facts(tmp_path)


def test_headers_need_the_standard_library_alone(put):
    png_path = put(png(np.zeros((3, 4, 1)), 16))
    jpeg_path = put(jpeg(np.zeros((8, 9, 3), np.uint8)), "a.jpg")
    code = (
        "import sys\nfrom pathlib import Path\nfrom kit.images.any_reading import AnyReading\n"
        "from kit.images.intensity_rule import Intensity\n"
        "r = AnyReading(('jpeg', 'png'), Intensity('full range'))\n"
        "print([(f.height, f.width) for f in map(r.facts, map(Path, sys.argv[1:]))])\n"
        "assert not {'numpy', 'cv2', 'PIL', 'imagecodecs'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, png_path, jpeg_path],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "[(3, 4), (8, 9)]\n", done.stderr


def test_a_thumbnails_end_is_not_the_pictures(put):
    image_HWC = np.asarray(RNG.integers(0, 256, (32, 32, 3)), np.uint8)
    data = jpeg(image_HWC, comment=b"\xff\xd9 looks like an end")
    start = data.index(b"\xff\xda")
    assert "no end marker" in fault(put(data[: start + 40]), JPEGS)
    assert read_jpeg_header(put(data)).height == 32


def test_of_an_animated_png_the_first_picture_is_read(put):
    samples_HWC = RNG.integers(0, 256, (5, 6, 3))
    path = put(png(samples_HWC, more=[(b"acTL", struct.pack(">II", 3, 0))]))
    assert "the first of its 3 pictures is read" in PNGS.facts(path).notes
    assert np.array_equal(read(path), samples_HWC)


@pytest.mark.parametrize(("bits", "kind"), [(1, 2), (3, 0), (12, 0), (16, 3), (8, 5)])
def test_depths_and_types_that_png_does_not_know_are_refused(put, bits, kind):
    good = png(np.zeros((4, 4, 1)))
    head = good[12:24] + bytes((bits, kind)) + good[26:29]
    path = put(good[:12] + head + struct.pack(">I", zlib.crc32(head)) + good[33:])
    assert "makes no sense" in fault(path)
