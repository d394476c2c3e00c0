import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kit.errors import KitError
from kit.masks import encoder, rle

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
masks = st.one_of(
    hnp.arrays(bool, shapes),
    hnp.arrays(bool, shapes, elements=st.just(False), fill=st.nothing()),
    hnp.arrays(bool, shapes, elements=st.just(True), fill=st.nothing()),
    hnp.arrays(bool, st.tuples(st.just(1), st.integers(1, 60))),
    hnp.arrays(bool, st.tuples(st.integers(1, 60), st.just(1))),
)


def pairs_of_masks(draw_shape=shapes):
    return draw_shape.flatmap(lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape)))


def walk(mask_HW):
    """The definition, pixel by pixel down the columns."""
    runs = []
    before = False
    for position, pixel in enumerate(
        mask_HW[:, x][y] for x in range(mask_HW.shape[1]) for y in range(len(mask_HW))
    ):
        if pixel and not before:
            runs.append([position, 0])
        if pixel:
            runs[-1][1] += 1
        before = pixel
    return runs


def blobs(height, width, count, seed):
    rng = np.random.default_rng(seed)
    mask_HW = np.zeros((height, width), bool)
    for _ in range(count):
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask_HW[y : y + rng.integers(1, 90), x : x + rng.integers(1, 90)] ^= True
    return mask_HW


@given(masks)
def test_runs_are_those_found_by_walking_down_the_columns(mask_HW):
    assert rle.encode(mask_HW).tolist() == walk(mask_HW)


@given(masks, st.lists(st.integers(0, 15)))
def test_bands_of_any_height_give_the_same_runs_as_the_whole(mask_HW, heights):
    encoder = rle.RunLengthEncoder(mask_HW.shape[1])
    top = 0
    for height in heights:
        encoder.push(mask_HW[top : top + height])
        top += height
    encoder.push(mask_HW[top:])
    assert encoder.finish().tolist() == walk(mask_HW)
    assert encoder.height == len(mask_HW)


@given(masks)
def test_memory_order_and_foreground_value_do_not_matter(mask_HW):
    expected = rle.encode(mask_HW).tolist()
    assert rle.encode(np.asfortranarray(mask_HW)).tolist() == expected
    assert rle.encode(mask_HW.astype(np.uint8) * 255).tolist() == expected
    assert rle.encode(np.repeat(mask_HW, 2, axis=1)[:, ::2]).tolist() == expected


@given(masks)
def test_decoding_undoes_encoding(mask_HW):
    runs = rle.encode(mask_HW)
    assert np.array_equal(rle.decode(runs, *mask_HW.shape), mask_HW)
    assert rle.area(runs) == np.count_nonzero(mask_HW)
    assert runs.dtype == np.int64


@given(masks, st.data())
def test_a_decoded_window_is_cut_from_the_decoded_mask(mask_HW, data):
    height, width = mask_HW.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, columns = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    window_HW = rle.decode_window(rle.encode(mask_HW), height, (top, left, rows, columns))
    assert np.array_equal(window_HW, mask_HW[top : top + rows, left : left + columns])


@given(pairs_of_masks())
def test_intersection_counts_shared_pixels(pair):
    a_HW, b_HW = pair
    assert rle.intersection(rle.encode(a_HW), rle.encode(b_HW)) == np.count_nonzero(a_HW & b_HW)


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_the_union_holds_the_pixels_of_all_masks(height, width, data):
    masks_HW = data.draw(st.lists(hnp.arrays(bool, (height, width)), max_size=5))
    together_HW = np.logical_or.reduce([np.zeros((height, width), bool), *masks_HW])
    assert np.array_equal(rle.union(rle.encode(mask_HW) for mask_HW in masks_HW), rle.encode(together_HW))


def test_the_union_does_not_need_sorted_runs_of_one_mask():
    assert rle.union([np.array([[2, 6], [11, 1]]), np.array([[4, 1], [5, 5]])]).tolist() == [[2, 8], [11, 1]]
    assert rle.union([]).shape == (0, 2)


@given(masks)
def test_alternating_lengths_are_those_of_the_pixels_down_the_columns(mask_HW):
    runs = rle.encode(mask_HW)
    lengths = rle.to_lengths(runs, mask_HW.size)
    flat = [place % 2 == 1 for place, length in enumerate(lengths.tolist()) for _ in range(length)]
    assert flat == mask_HW.ravel(order="F").tolist()
    assert np.count_nonzero(lengths == 0) == int(mask_HW[0, 0])  # only a mask that begins with foreground
    assert np.array_equal(rle.from_lengths(lengths), runs)


@given(masks)
def test_kaggle_text_survives_a_round_trip(mask_HW):
    runs = rle.encode(mask_HW)
    assert np.array_equal(rle.from_kaggle(rle.to_kaggle(runs), *mask_HW.shape, where="row 1"), runs)


@given(masks)
def test_transposing_runs_is_encoding_the_transposed_mask(mask_HW):
    assert np.array_equal(rle.transposed(rle.encode(mask_HW), *mask_HW.shape), rle.encode(mask_HW.T.copy()))


def test_a_mask_of_several_blocks_of_columns_is_transposed_exactly():
    mask_HW = blobs(1500, 1111, 60, seed=1)
    assert np.array_equal(rle.transposed(rle.encode(mask_HW), 1500, 1111), rle.encode(mask_HW.T.copy()))


def test_text_that_counts_from_zero_and_along_the_rows_is_understood():
    mask_HW = np.array([[0, 1, 1], [1, 0, 0]], bool)
    runs = rle.from_kaggle("1 3", 2, 3, where="row 1", first=0, by_rows=True)
    assert np.array_equal(rle.decode(runs, 2, 3), mask_HW)
    assert rle.to_kaggle(rle.transposed(runs, 2, 3), first=0) == "1 3"
    with pytest.raises(KitError, match=r"run 1 \('5 2'\) leaves the image of 2 x 3 pixels") as caught:
        rle.from_kaggle("5 2", 2, 3, where="row 1", first=0, by_rows=True)
    assert "starts count from 0, along the rows" in caught.value.fix


@pytest.mark.parametrize("density", [0.001, 0.1, 0.5], ids=["sparse", "textured", "noise"])
def test_masks_larger_than_one_block_and_noise_are_exact(density):
    mask_HW = np.random.default_rng(0).random((2500, 1111)) < density
    mask_HW[:1200] = blobs(1200, 1111, 60, seed=1)  # sparse blocks beside dense ones
    encoder = rle.RunLengthEncoder(1111)
    for top in range(0, 2500, 999):
        encoder.push(mask_HW[top : top + 999])
    flat = np.concatenate([[False], mask_HW.ravel(order="F"), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = encoder.finish()
    assert np.array_equal(runs, np.stack([edges[::2], edges[1::2] - edges[::2]], axis=1))
    assert np.array_equal(rle.decode(runs, 2500, 1111), mask_HW)


@pytest.mark.parametrize("columns", [1, 100, 1111])
def test_noise_is_transposed_exactly_however_many_columns_at_a_time(monkeypatch, columns):
    rng = np.random.default_rng(0)
    mask_HW = rng.random((1300, 1111)) < rng.choice([0.02, 0.5], 1111)
    mask_HW[1000:] = blobs(300, 1111, 20, seed=1)
    monkeypatch.setattr(encoder, "BLOCK", 1 << 17)
    monkeypatch.setattr(encoder, "_GROUP", columns * 1300)
    assert np.array_equal(rle.encode(mask_HW), rle.encode(np.asfortranarray(mask_HW)))


def test_first_and_last_pixel_are_kept():
    mask_HW = np.zeros((3, 2), bool)
    mask_HW[0, 0] = mask_HW[-1, -1] = True
    assert rle.to_kaggle(rle.encode(mask_HW)) == "1 1 6 1"


def test_an_encoder_without_rows_finds_nothing():
    assert rle.RunLengthEncoder(5).finish().shape == (0, 2)
    assert rle.to_kaggle(rle.empty()) == ""


def test_a_band_of_another_width_is_a_programming_error():
    with pytest.raises(ValueError, match=r"\(2, 4\) for a mask 5 wide"):
        rle.RunLengthEncoder(5).push(np.zeros((2, 4), bool))


def test_runs_that_touch_are_merged_when_read():
    assert rle.from_kaggle("1 2 3 1 9 1", 3, 3, where="row 1").tolist() == [[0, 3], [8, 1]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 2 3", "3 numbers, an odd count"),
        ("1 two", "'two', which is no integer"),
        ("1.0 2", "'1.0', which is no integer"),
        ("1_0 2", "'1_0', which is no integer"),
        ("99999999999999999999 1", "'99999999999999999999', which is no integer"),
        ("1 2\x00", "'2\\x00', which is no integer"),
        ("\ud800 2", "'\\ud800', which is no integer"),
        ("999999999999999999 1", "run 1 ('999999999999999999 1') leaves the image of 4 x 5 pixels"),
        ("1 0", "run 1 ('1 0') has no positive length"),
        ("1 -3", "run 1 ('1 -3') has no positive length"),
        ("0 1", "run 1 ('0 1') leaves the image of 4 x 5 pixels"),
        ("3 1 20 2", "run 2 ('20 2') leaves the image of 4 x 5 pixels"),
        ("7 2 3 1", "run 2 ('3 1') starts before the run in front of it"),
        ("3 4 5 1", "run 2 ('5 1') overlaps the run in front of it"),
        ("3 4 3 1", "run 2 ('3 1') overlaps the run in front of it"),
    ],
)
def test_bad_kaggle_text_is_refused_with_row_and_reason(text, problem):
    with pytest.raises(KitError) as caught:
        rle.from_kaggle(text, 4, 5, where="submission.csv, row 7 (id 'x')")
    assert problem in str(caught.value)
    assert "where: submission.csv, row 7 (id 'x')" in str(caught.value)
    assert "starts count from 1, down the columns" in str(caught.value)
