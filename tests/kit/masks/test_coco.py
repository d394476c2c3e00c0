import base64
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as oracle

from kit.errors import KitError
from kit.masks import coco, rle
from kit.masks.counts import compress

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def oracle_counts(mask_HW):
    return oracle.encode(np.asfortranarray(mask_HW.astype(np.uint8)))["counts"]


@given(masks)
def test_counts_are_those_of_pycocotools(mask_HW):
    counts = oracle_counts(mask_HW)
    assert coco.encode(mask_HW) == counts
    assert coco.from_runs(rle.encode(mask_HW), *mask_HW.shape) == counts
    assert np.array_equal(coco.decode(counts, *mask_HW.shape), mask_HW)


@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=30))
def test_any_uncompressed_counts_are_read_as_pycocotools_reads_them(lengths):
    lengths = lengths if len(lengths) < 2 or sum(lengths) else [1]
    counts = oracle.frPyObjects({"counts": lengths, "size": [sum(lengths), 1]}, sum(lengths), 1)["counts"]
    runs = coco.runs_of(counts, sum(lengths), 1)
    edges = np.cumsum(lengths)
    expected = np.zeros(sum(lengths), bool)
    for start, end in zip(edges[0::2], edges[1::2], strict=False):
        expected[start:end] = True
    assert np.array_equal(rle.decode(runs, sum(lengths), 1)[:, 0], expected)
    assert np.array_equal(runs, rle.encode(expected[:, None]))


@pytest.mark.parametrize("fill", [False, True], ids=["empty", "full"])
def test_uniform_masks_of_slide_size_are_coded(fill):
    runs = np.array([[0, 30_000 * 40_000]], np.int64) if fill else rle.empty()
    counts = coco.from_runs(runs, 30_000, 40_000)
    assert len(counts) < 10
    assert np.array_equal(coco.runs_of(counts, 30_000, 40_000), runs)


@given(masks)
def test_submission_text_survives_a_round_trip_and_is_what_kaggle_expects(mask_HW):
    counts = coco.encode(mask_HW)
    assert coco.unpack(coco.pack(counts), where="row 1") == counts
    assert zlib.decompress(base64.b64decode(coco.pack(counts))) == counts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not base64!", "mask is no base64"),
        (base64.b64encode(b"plain").decode(), "mask is no zlib data"),
        (
            base64.b64encode(zlib.compress(b"x" * 1000)[:-6]).decode(),
            "cut short, too large or followed by more",
        ),
        (base64.b64encode(zlib.compress(b"x") + b"y").decode(), "cut short, too large or followed by more"),
        (
            base64.b64encode(zlib.compress(bytes(65 << 20))).decode(),
            "cut short, too large or followed by more",
        ),
    ],
    ids=["base64", "zlib", "cut", "more", "bomb"],
)
def test_bad_submission_text_is_refused_with_its_row(text, problem):
    with pytest.raises(KitError) as caught:
        coco.unpack(text, where="submission.csv, row 3")
    assert problem in str(caught.value)
    assert "submission.csv, row 3" in str(caught.value)


@pytest.mark.parametrize(
    "counts",
    [b"", b"\x00\x01", b"\x7f", b"0P", b"P" * 40 + b"0"],
    ids=["none", "low", "high", "open", "long"],
)
def test_bytes_that_are_no_counts_are_refused(counts):
    with pytest.raises(KitError, match="no COCO compressed counts"):
        coco.runs_of(counts, 4, 5)


def test_counts_of_another_size_are_refused_with_both_sizes():
    with pytest.raises(KitError, match="mask covers 12 pixels, the image has 4 x 5 = 20"):
        coco.runs_of(coco.encode(np.ones((3, 4), bool)), 4, 5, where="row 1")


@pytest.mark.parametrize(
    ("lengths", "worst"),
    [([25, -5], 25), ([-5, 25], -5), ([1 << 58] * 64 + [20], 1 << 58)],
    ids=["end", "start", "wrapped"],
)
def test_impossible_counts_are_refused_even_if_their_sum_fits(lengths, worst):
    counts = compress(np.array(lengths), np.array([len(lengths)]))[0]
    with pytest.raises(KitError, match=f"mask has a run of {worst} pixels, the image has 4 x 5"):
        coco.runs_of(counts, 4, 5)
