"""Small files whose data claims to be large: no decoder makes more than its strip or tile needs."""

import json
import subprocess
import sys
import zlib

import numpy as np
import pytest

from tests.kit.images.built import ENCODERS, JPEG, build

SIDE = 5000
"""A side of what the data holds: 75 MB. The image has 200."""
MOST_MB = 60
READ = """
import json, resource, sys
from pathlib import Path
import cv2, imagecodecs, numpy, tifffile
from kit.errors import KitError
from kit.images.slide import open_slide
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before, said = peak(), None
try:
    with open_slide(Path(sys.argv[1]), giant=int(sys.argv[2]), threads=1) as slide:
        slide.read_band(0, slide.height)
except KitError as error:
    said = str(error)
print(json.dumps([said, peak() - before]))
"""


def read_in_a_child(path, giant):
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(giant)],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def bombs():
    """Codec -> a small piece of data that holds 5,000 x 5,000 RGB pixels."""
    zeros = np.zeros((SIDE, SIDE, 3), np.uint8)
    made = {codec: encode(zeros) for codec, encode in ENCODERS.items() if codec not in {1, 32773}}
    return made | {32773: b"\x81\0" * (zeros.size // 128)}


@pytest.mark.parametrize("giant", [1, 1 << 30], ids=["scratch", "segments"])
@pytest.mark.parametrize("codec", sorted(set(ENCODERS) - {1}))
def test_no_codec_makes_more_than_its_strip_needs(tmp_path, bombs, codec, giant):
    path = tmp_path / "bomb.tif"
    image_HWC = np.zeros((200, 200, 3), np.uint8)
    path.write_bytes(build(image_HWC, rows=200, codec=codec, stored=[bombs[codec]]))
    said, grown = read_in_a_child(path, giant)
    assert grown < MOST_MB
    # LZW, lzma and packbits stop where the strip is full, as libtiff does.
    assert said is None or "strip 0 cannot be decoded" in said
    assert said or codec in {5, 34925}


def test_a_deflated_strip_may_hold_a_little_more_and_not_much_more(tmp_path):
    image_HWC = np.zeros((200, 200, 3), np.uint8)
    path = tmp_path / "bomb.tif"
    for more, right in ((1000, True), (1 << 29, False)):
        packed = zlib.compress(bytes(image_HWC.size + more))
        path.write_bytes(build(image_HWC, rows=200, codec=8, stored=[packed]))
        said, grown = read_in_a_child(path, 1 << 30)
        assert (said is None) == right
        assert grown < MOST_MB


def test_a_jpeg_of_another_shape_or_without_its_end_is_no_picture(tmp_path):
    noise_HWC = np.random.default_rng(3).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    path = tmp_path / "jpeg.tif"
    whole = ENCODERS[JPEG](noise_HWC)
    other = ENCODERS[JPEG](noise_HWC.reshape(32, 128, 3))
    for stored, right in ((whole, True), (whole[: len(whole) // 2], False), (other, False)):
        path.write_bytes(build(noise_HWC, rows=64, codec=JPEG, stored=[stored]))
        said, _ = read_in_a_child(path, 1 << 30)
        assert (said is None) == right
