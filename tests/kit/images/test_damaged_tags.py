"""Directories that lie, point to nothing or claim more than the file holds."""

import io
import os
import struct
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image

from kit.errors import KitError
from kit.images.header import read_header, require_rgb8
from kit.images.slide import open_slide
from tests.kit.images.built import (
    BITS,
    COMPRESSION,
    ENCODERS,
    HEIGHT,
    JPEG,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_SIZES,
    TILE_WIDTH,
    WIDTH,
    build,
)

TILE = (32, 48)
HUGE = (2**32 - 2, 2**31, 2**20 + 1)


def written(tmp_path, data):
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    return path


def read(tmp_path, data):
    with open_slide(written(tmp_path, data), threads=1) as slide:
        return slide.read_band(0, slide.height), slide.notes


def refusal(tmp_path, data):
    path = written(tmp_path, data)
    with pytest.raises(KitError) as caught:
        require_rgb8(read_header(path))
    assert caught.value.fix
    assert str(path) in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize("codec", sorted(ENCODERS))
def test_tiles_may_be_listed_as_strips(tmp_path, image_HWC, codec):
    def change(tags):
        tags[STRIP_OFFSETS], tags[STRIP_SIZES] = tags.pop(TILE_OFFSETS), tags.pop(TILE_SIZES)

    right = build(image_HWC, tile=TILE, codec=codec)
    right_HWC, _ = read(tmp_path, right)
    found_HWC, notes = read(tmp_path, build(image_HWC, tile=TILE, codec=codec, change=change))
    assert np.array_equal(found_HWC, right_HWC)
    assert np.abs(found_HWC.astype(int) - image_HWC).mean() < (6 if codec == JPEG else 1e-9)
    assert not notes


@pytest.mark.parametrize("codec", [1, 5, 8])
def test_strips_may_be_listed_as_tiles(tmp_path, image_HWC, codec):
    def change(tags):
        tags[TILE_OFFSETS], tags[TILE_SIZES] = tags.pop(STRIP_OFFSETS), tags.pop(STRIP_SIZES)

    found_HWC, _ = read(tmp_path, build(image_HWC, codec=codec, change=change))
    assert np.array_equal(found_HWC, image_HWC)


@pytest.mark.parametrize("codec", [1, 5, JPEG, 8])
@pytest.mark.parametrize("tag", [TILE_WIDTH, TILE_HEIGHT])
def test_tiles_without_a_side_are_no_strips(tmp_path, image_HWC, codec, tag):
    data = build(image_HWC, tile=TILE, codec=codec, change=lambda tags: tags.pop(tag))
    assert "has no size" in refusal(tmp_path, data)


@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
@pytest.mark.parametrize("place", ["beyond", "far beyond", "in pixels", "in the header", "itself", "the end"])
def test_what_follows_the_last_directory_may_be_garbage(tmp_path, image_HWC, tile, place):
    plain = build(image_HWC, tile=tile)
    own = int.from_bytes(plain[4:8], "little")
    places = {"beyond": len(plain) + 100, "far beyond": 2**32 - 2, "in pixels": 1001, "in the header": 2}
    places |= {"itself": own, "the end": len(plain) - 1}
    data = build(image_HWC, tile=tile, following=places[place])
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(np.asarray(opened), image_HWC)
    found_HWC, (note,) = read(tmp_path, data)
    assert np.array_equal(found_HWC, image_HWC)
    assert "list of pages ends in what is no page" in note


@pytest.mark.parametrize("fill", [0, 1, 255])
def test_even_pixels_are_no_directory(tmp_path, fill):
    even_HWC = np.full((131, 97, 3), fill, np.uint8)
    found_HWC, (_,) = read(tmp_path, build(even_HWC, following=5000))
    assert np.array_equal(found_HWC, even_HWC)


def test_a_thumbnail_is_no_image_whose_page_was_cut_off(tmp_path, image_HWC):
    path = tmp_path / "image.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image_HWC[::8, ::8], photometric="rgb")
        tiff.write(image_HWC, photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        second = tiff.pages[1].offset
    data = bytearray(path.read_bytes())
    data[second : second + 2] = b"\0\0"
    assert "has no size" in refusal(tmp_path, bytes(data)) or "cut short" in refusal(tmp_path, bytes(data))


def test_a_damaged_page_that_is_larger_than_the_others_is_the_image(tmp_path, image_HWC):
    path = tmp_path / "image.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((16, 16, 3), np.uint8), photometric="rgb")
        tiff.write(image_HWC, photometric="rgb", rowsperstrip=10)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[1].tags["RowsPerStrip"].overwrite(1)
    assert "page 1 lists 14 pieces of pixels, its size needs 131" in refusal(tmp_path, path.read_bytes())


@pytest.mark.parametrize("codec", sorted(ENCODERS))
@pytest.mark.parametrize("tag", [WIDTH, HEIGHT, SAMPLES, TILE_WIDTH, TILE_HEIGHT])
def test_claims_are_bounded_by_the_file(tmp_path, image_HWC, codec, tag):
    for value in HUGE:
        for tile in (None, TILE):
            for missing in ((), (STRIP_SIZES, TILE_SIZES)):

                def change(tags, value=value, missing=missing):
                    tags[tag] = [value]
                    for number in missing:
                        tags.pop(number, None)

                assert refusal(tmp_path, build(image_HWC, tile=tile, codec=codec, change=change))


@pytest.mark.parametrize("value", HUGE)
def test_more_rows_than_there_are_make_one_strip(tmp_path, image_HWC, value):
    def change(tags):
        tags[ROWS] = [value]

    for codec in ENCODERS:
        found_HWC, _ = read(tmp_path, build(image_HWC, rows=131, codec=codec, change=change))
        assert np.abs(found_HWC.astype(int) - image_HWC).mean() < (6 if codec == JPEG else 1e-9)


@pytest.mark.parametrize("count", [2**31, 2**32 - 1])
@pytest.mark.parametrize("tag", [BITS, STRIP_OFFSETS, STRIP_SIZES, 270, 330, 281, 42113])
def test_counts_of_values_are_bounded_by_the_file(tmp_path, image_HWC, count, tag):
    data = bytearray(build(image_HWC, change=lambda tags: tags.setdefault(tag, [8, 8, 8])))
    place = int.from_bytes(data[4:8], "little") + 2
    while int.from_bytes(data[place : place + 2], "little") != tag:
        place += 12
    data[place + 4 : place + 8] = struct.pack("<I", count)
    if tag not in {270, 42113}:  # texts of another type are passed over
        assert "cut short" in refusal(tmp_path, bytes(data))


def test_many_directories_that_share_one_long_list_are_not_all_read(tmp_path):
    values = bytes(4 * 400_000)
    data, chain = b"II*\0" + struct.pack("<I", 8 + len(values)) + values, []
    for number in range(3000):
        entry = struct.pack("<HHII", STRIP_OFFSETS, 4, 400_000, 8)
        following = 8 + len(values) + (number + 1) * 54
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, 1) for tag in (WIDTH, HEIGHT, STRIP_SIZES)) + entry
        chain.append(struct.pack("<H", 4) + entries + struct.pack("<I", following))
    assert refusal(tmp_path, data + b"".join(chain))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "image.tif"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    refused = []

    def work():
        for look in (read_header, open_slide):
            with pytest.raises(KitError, match="image cannot be read") as caught:
                look(path)
            refused.append(str(caught.value))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(600)
    assert len(refused) == 2, "it waits for a writer"


@pytest.mark.parametrize(
    ("number", "name"), [(6, "old-style JPEG"), (2, "CCITT"), (32809, "ThunderScan"), (34661, "JBIG")]
)
def test_old_compressions_are_refused_by_name_with_a_way_out(tmp_path, image_HWC, number, name):
    def change(tags):
        tags[COMPRESSION], tags[PHOTOMETRIC] = [number], [6]

    path = written(tmp_path, build(image_HWC, change=change))
    with pytest.raises(KitError, match=f"{name}.*TIFF's number {number}") as caught:
        open_slide(path)
    assert "tiffcp -c lzw" in str(caught.value)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [4, 5, 7])
def test_channels_behind_the_colours_are_left_out_and_said(tmp_path, image_HWC, channels, planar):
    path = tmp_path / "more.tif"
    more_HWC = np.concatenate([image_HWC, np.full((131, 97, channels - 3), 9, np.uint8)], axis=2)
    stored = more_HWC if planar == "contig" else np.moveaxis(more_HWC, 2, 0)
    for compression in (None, "deflate"):
        tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, compression=compression)
        with open_slide(path) as slide:
            assert np.array_equal(slide.read_band(0, 131), image_HWC)
            (note,) = slide.notes
        assert note == (
            "its fourth channel (alpha) is left out"
            if channels == 4
            else f"its channels 4 to {channels} are left out"
        )


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [(WIDTH, 8, 97), (WIDTH, 9, 97), (HEIGHT, 9, 131), (ROWS, 9, 131), (ROWS, 9, -1), (ROWS, 4, 0)],
)
def test_integers_with_a_sign_and_no_rows_are_read_as_libtiff_does(tmp_path, image_HWC, tag, kind, value):
    path = tmp_path / "signed.tif"
    tifffile.imwrite(path, image_HWC, rowsperstrip=131)
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", data, 4)[0] + 2
    while struct.unpack_from("<H", data, start)[0] != tag:
        start += 12
    struct.pack_into("<HHIi", data, start, tag, kind, 1, value)
    pixels_HWC, notes = read(tmp_path, bytes(data))
    assert np.array_equal(pixels_HWC, image_HWC)
    assert notes == ()


def test_a_largest_sample_of_zero_says_nothing(tmp_path, image_HWC):
    path = tmp_path / "zero.tif"
    tifffile.imwrite(path, image_HWC.astype(np.uint16) * 257, extratags=[(281, 3, 3, (0, 0, 0), True)])
    with open_slide(path) as slide:
        assert np.array_equal(slide.read_band(0, slide.height), image_HWC)


@pytest.mark.parametrize("number", [0, 12345])
def test_an_unknown_compression_is_no_damage(tmp_path, image_HWC, number):
    def change(tags):
        tags[COMPRESSION] = [number]

    assert f"TIFF's number {number}" in refusal(tmp_path, build(image_HWC, change=change))


@pytest.mark.parametrize("data", [b"<html>", b"\x89PNG\r\n\x1a\n" + bytes(50), b"II*"])
def test_what_is_no_tiff_says_what_to_do(tmp_path, data):
    assert "not a TIFF" in refusal(tmp_path, data)
