"""Places and sizes that the tags say wrong or not: right pixels and a note, or an error; never black."""

import io

import numpy as np
import pytest
from PIL import Image

from kit.errors import KitError
from kit.images.slide import open_slide
from tests.kit.images.built import (
    ENCODERS,
    JPEG,
    ROWS,
    STRIP_OFFSETS,
    STRIP_SIZES,
    TILE_OFFSETS,
    TILE_SIZES,
    build,
)

CODECS = sorted(ENCODERS)
TILE = (32, 48)
WRONG_SIZES = {
    "zero": lambda sizes: [0] * len(sizes),
    "one": lambda sizes: [1] * len(sizes),
    "far beyond the file": lambda sizes: [2**31 + size for size in sizes],
    "missing": lambda sizes: [],
    "the first alone": lambda sizes: sizes[:1],
    "one of them zero": lambda sizes: [0, *sizes[1:]],
    "the last zero": lambda sizes: [*sizes[:-1], 0],
}


def read(tmp_path, data):
    path = tmp_path / "image.tif"
    path.write_bytes(data)
    with open_slide(path, threads=1) as slide:
        return slide.read_band(0, slide.height), slide.notes


def same(codec, found_HWC, image_HWC):
    off = np.abs(found_HWC.astype(int) - image_HWC)
    return off.mean() < 6 if codec == JPEG else not off.any()


@pytest.mark.parametrize("wrong", WRONG_SIZES)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
def test_sizes_that_the_file_says_wrong_or_not(tmp_path, image_HWC, codec, tile, wrong):
    number = STRIP_SIZES if tile is None else TILE_SIZES

    def change(tags):
        tags[number] = WRONG_SIZES[wrong](tags[number])
        if not tags[number]:
            del tags[number]

    found_HWC, notes = read(tmp_path, build(image_HWC, tile=tile, codec=codec, change=change))
    assert same(codec, found_HWC, image_HWC)
    (note,) = notes
    assert "does not say the right size of" in note


@pytest.mark.parametrize("size", [0, 1, 50, 2**31])
def test_a_lone_raw_strip_is_read_as_libtiff_reads_it(tmp_path, image_HWC, size):
    data = build(image_HWC, rows=131, change=lambda tags: tags.update({STRIP_SIZES: [size]}))
    with Image.open(io.BytesIO(data)) as opened:
        assert np.array_equal(np.asarray(opened), image_HWC)
    found_HWC, (note,) = read(tmp_path, data)
    assert np.array_equal(found_HWC, image_HWC)
    assert "does not say the right size of 1 of its 1 strips" in note


@pytest.mark.parametrize("codec", [1, 5, 7, 8])
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
def test_what_has_a_size_and_no_place_is_no_black(tmp_path, image_HWC, codec, tile):
    number = STRIP_OFFSETS if tile is None else TILE_OFFSETS
    data = build(image_HWC, tile=tile, codec=codec, change=lambda tags: tags[number].__setitem__(1, 0))
    with pytest.raises(KitError, match=r"1 cannot be decoded: it has \d+ bytes at no place"):
        read(tmp_path, data)


@pytest.mark.parametrize("codec", [1, 5, 7, 8])
def test_tiles_that_were_never_written_are_empty_and_told(tmp_path, image_HWC, codec):
    def of_gdal(tags):
        tags[TILE_OFFSETS][1] = tags[TILE_SIZES][1] = 0

    def of_aperio(tags):
        tags[TILE_OFFSETS][1], tags[TILE_SIZES][1] = tags[TILE_OFFSETS][2], 0

    for change in (of_gdal, of_aperio):
        found_HWC, notes = read(tmp_path, build(image_HWC, tile=TILE, codec=codec, change=change))
        assert notes == ("1 of its strips or tiles were never written and are read as black",)
        assert not found_HWC[:32, 48:96].any()
        assert same(codec, found_HWC[32:], image_HWC[32:])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("tile", [None, TILE], ids=["strips", "tiles"])
def test_a_file_that_was_cut_is_no_file_of_wrong_sizes(tmp_path, image_HWC, codec, tile):
    front = build(image_HWC, tile=tile, codec=codec)
    places, sizes = (STRIP_OFFSETS, STRIP_SIZES) if tile is None else (TILE_OFFSETS, TILE_SIZES)
    ends = []

    def behind(tags):
        # The pixels lie behind the directory, so that a cut takes pixels away and leaves the tags.
        tags[places] = [len(front) + place for place in tags[places]]
        ends.append(tags[places][-1] + tags[sizes][-1])

    whole = build(image_HWC, tile=tile, codec=codec, change=behind) + front
    found_HWC, notes = read(tmp_path, whole)
    assert same(codec, found_HWC, image_HWC)
    assert not notes
    for end in (ends[0] - 1, (len(front) + ends[0]) // 2, len(front) + 9):
        with pytest.raises(KitError, match="TIFF is cut short"):
            read(tmp_path, whole[:end])


@pytest.mark.parametrize("rows", [0, 1, 2**32 - 1])
def test_no_number_of_rows_makes_a_black_image(tmp_path, image_HWC, rows):
    data = build(image_HWC, rows=131, change=lambda tags: tags.update({ROWS: [rows]}))
    try:
        found_HWC, _ = read(tmp_path, data)
    except KitError:
        return
    assert np.array_equal(found_HWC, image_HWC)
