"""Confident blocks: their doubts, and passes that skip the windows in which nothing else lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.ensemble import Member
from kit.images.info import ImageInfo
from kit.inference import fusion, semantic_blocks
from kit.inference.layout import layout
from kit.inference.semantic_blocks import BlockDoubt, ConfidentBlocks, load_confident, shares_left
from kit.inference.semantic_fusion import fuse_semantic
from kit.inference.semantic_settings import SemanticSettings
from tests.kit.inference.predicting import image, predict

BLOCK = 8


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(semantic_blocks, "BLOCK", BLOCK)


def member(**inference):
    return Member(name="m", weights="w", sha256="0", size=1, network={}, inference=inference, requires=[])


def blocks(image_HW):
    """Yield the place of each block and what the image has there."""
    for row, y0 in enumerate(range(0, image_HW.shape[0], BLOCK)):
        for column, x0 in enumerate(range(0, image_HW.shape[1], BLOCK)):
            yield (row, column), image_HW[y0 : y0 + BLOCK, x0 : x0 + BLOCK]


def of_pixels(values, size):
    """Give each pixel the value of its block."""
    return np.kron(values, np.ones((BLOCK, BLOCK)))[: size[0], : size[1]]


def means_of(size, unsure):
    """Blocks of probability 0.25, of which some are not confident."""
    means = np.full([-(-side // BLOCK) for side in size], 0.25, np.float32)
    for place in unsure:
        means[place] = np.nan
    return ConfidentBlocks(means)


@settings(deadline=None)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    steps=st.lists(st.integers(1, 12), min_size=1),
    seed=st.integers(0, 99),
    threshold=st.floats(0.05, 0.95),
)
def test_the_image_s_doubt_is_the_mean_of_its_blocks_doubts(height, width, steps, seed, threshold):
    random = np.random.default_rng(seed)
    coarse_HW = random.choice([0.0, 0.01, 0.4, 1.0], (-(-height // BLOCK), -(-width // BLOCK)))
    prob_HW = of_pixels(coarse_HW, (height, width))
    prob_HW = np.abs(prob_HW - random.uniform(0, 0.02, prob_HW.shape)).astype(np.float32)
    mask_HW = prob_HW >= threshold
    doubt, first = BlockDoubt(height, width), 0
    for step in steps * height:
        doubt.add(prob_HW[first : first + step], mask_HW[first : first + step])
        first += step
    wrong_HW = np.where(mask_HW, 1 - prob_HW, prob_HW).astype(np.float64)
    scale = (prob_HW.sum(dtype=float) + mask_HW.sum()) / prob_HW.size
    assert wrong_HW.mean() / scale == pytest.approx(doubt.value, abs=1e-5)
    for place, own_HW in blocks(wrong_HW):
        assert doubt.means[place] == pytest.approx(dict(blocks(prob_HW))[place].mean(), abs=1e-6)
        border = np.ptp(dict(blocks(mask_HW))[place].astype(int)) == 1
        expected = np.inf if border else own_HW.mean() / scale
        assert doubt.of_blocks[place] == pytest.approx(expected, abs=1e-5)
    for below in (0.01, 0.5, 3.0):
        found = ~np.isnan(doubt.confident(below).means)
        assert np.array_equal(found, doubt.of_blocks < below)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_of_stored_levels_the_doubts_are_those_of_the_probabilities(dtype):
    most = np.iinfo(dtype).max
    level_HW = np.zeros((20, 20), dtype)
    level_HW[:8, :8], level_HW[8:16, 8:16], level_HW[18, 18] = most, most // 10, most // 2 + 1
    found = []
    for maps, weights in (([level_HW], [1.0]), ([level_HW, level_HW], [1.0, 2.0])):
        doubt = BlockDoubt(20, 20)
        fuse_semantic(maps, weights, 0.5, doubt)
        found.append(doubt.of_blocks)
    assert found[0][0, 0] == pytest.approx(0, abs=1e-6), "a block that the mask has"
    assert found[0][0, 1] == 0, "background"
    assert found[0][2, 2] == np.inf, "a border"
    assert 0 < found[0][1, 1] < np.inf
    assert found[1] == pytest.approx(found[0], abs=1e-6)


def test_an_image_of_nothing_is_confident_everywhere():
    doubt = BlockDoubt(20, 9)
    doubt.add(np.zeros((20, 9), np.uint8), np.zeros((20, 9), bool), unit=1 / 255)
    assert not np.isnan(doubt.confident(1e-6).means).any()


@pytest.mark.parametrize(
    "windows",
    [{"stored": "uint8", "core": 16}, {"stored": "uint16", "core": 16}, {"stored": "uint16", "core": 18}],
)
@pytest.mark.parametrize("blend", ["halo", "gaussian"])
@pytest.mark.parametrize("view", ["identity", "hflip+rot90@0.5"])
def test_windows_of_confident_blocks_alone_are_not_predicted_and_their_place_is_filled(
    tmp_path, semantic, blend, view, windows
):
    size = (70, 45)
    image_HWC, blocks = image(*size), means_of(size, [(0, 0), (5, 3), (6, 3)])
    module, told = semantic(), []
    options = {"context": 8, "blend": blend, "view": view, "batch_size": 1, **windows}
    whole = predict(tmp_path, image_HWC, module, **options)
    every = sum(module.network.batches)
    module.network.batches.clear()
    found = predict(
        tmp_path,
        image_HWC,
        module,
        confident=blocks,
        on_batch=lambda *numbers: told.append(numbers),
        **options,
    )
    settings = SemanticSettings(core=windows["core"], context=8, scale=1.0)
    plan = layout(settings, [1.0], size, pixel_size=None, where="i")
    needed = blocks.needed(plan)
    assert 2 < len(needed) < 6
    assert sum(module.network.batches) * len(plan) == every * len(needed)
    assert told[-1] == (len(needed), len(needed))
    most = np.iinfo(windows["stored"]).max
    level = np.floor(0.25 * most + 0.5) / most
    filled_HW = np.where(of_pixels(np.isnan(blocks.means), size), 0, level)
    for tile in plan.tiles():
        own = np.s_[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width]
        if tile not in needed:
            assert np.array_equal(found[own], filled_HW[own])
            assert (found[own] == level).all()
        elif blend == "halo":
            assert np.abs(found[own] - whole[own]).max() <= 1 / most
        else:  # the skipped windows beside it add nothing
            assert 0 < np.abs(found[own] - whole[own]).mean() < 0.2


def test_where_all_blocks_are_confident_no_window_is_predicted_and_no_row_is_read(tmp_path, semantic):
    class Unreadable:
        height, width = 40, 33

        def read_band(self, y0, y1):
            raise AssertionError("read")

    for options in ({}, {"size": 20}, {"blend": "gaussian"}):
        found = predict(tmp_path, Unreadable(), semantic(), confident=means_of((40, 33), []), **options)
        assert np.abs(found - 0.25).max() < 1e-5


def test_an_image_that_is_seen_at_once_is_predicted_if_any_block_is_not_confident(tmp_path, semantic):
    image_HWC = image(40, 30)
    whole = predict(tmp_path, image_HWC, semantic(), size=20)
    found = predict(tmp_path, image_HWC, semantic(), size=20, confident=means_of((40, 30), [(4, 0)]))
    assert np.array_equal(found, whole)


@settings(deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    core=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_a_window_is_needed_if_its_core_has_a_pixel_that_is_not_confident(height, width, core, seed):
    random = np.random.default_rng(seed)
    means = np.where(random.random((-(-height // BLOCK), -(-width // BLOCK))) < 0.3, np.nan, 0.5)
    pixels_HW = of_pixels(means, (height, width))
    found = ConfidentBlocks(means.astype(np.float32))
    plan = layout(
        SemanticSettings(core=core, context=2, scale=1.0), [1.0], (height, width), pixel_size=None, where="i"
    )
    wanted = [
        tile
        for tile in plan.tiles()
        if np.isnan(pixels_HW[tile.y0 : tile.y0 + tile.height, tile.x0 : tile.x0 + tile.width]).any()
    ]
    assert found.needed(plan) == wanted
    left = found.left(member(core=core, context=2, scale=1.0), (height, width), None)
    assert left == pytest.approx(len(wanted) / len(plan))
    rows_HW = np.empty((height, width), np.uint8)
    for first in range(0, height, 7):
        found.fill(rows_HW[first : first + 7], first, 255)
    assert np.array_equal(rows_HW, np.where(np.isnan(pixels_HW), 0, 128))


def test_of_members_that_skip_background_it_counts_for_nothing():
    means = np.zeros((4, 4), np.float32)
    means[0, 0], means[1] = np.nan, 0.5
    found, windows = ConfidentBlocks(means), {"core": 8, "context": 0, "scale": 1.0}
    assert found.left(member(**windows), (32, 32), None) == pytest.approx(1 / 16)
    assert found.left(member(**windows, skip_background=True), (32, 32), None) == pytest.approx(1 / 5)
    nothing = ConfidentBlocks(np.zeros((4, 4), np.float32))
    assert nothing.left(member(**windows, skip_background=True), (32, 32), None) == 0
    # Of pixels of half the size, windows have twice as many.
    info = ImageInfo(pixel_size=0.25)
    assert found.left(member(**windows, pixel_size=0.5), (32, 32), info) == pytest.approx(1 / 4)
    assert shares_left(found, [member(**windows), member(size=9)], (32, 32), None) == (1 / 16, 1.0)
    absurd = member(**windows, pixel_size=1e6)
    assert shares_left(found, [absurd], (32, 32), info) == (1.0,)


def test_blocks_come_back_from_their_file_and_what_cannot_be_read_skips_nothing(tmp_path):
    found = means_of((20, 33), [(1, 2)])
    found.save(tmp_path / "blocks")
    again = load_confident(tmp_path / "blocks", (20, 33))
    assert np.array_equal(again.means, found.means, equal_nan=True)
    assert load_confident(None, (20, 33)) is None
    assert load_confident(tmp_path / "missing", (20, 33)) is None
    assert load_confident(tmp_path / "blocks", (20, 41)) is None, "of another image"
    (tmp_path / "blocks").write_bytes((tmp_path / "blocks").read_bytes()[:-1])
    assert load_confident(tmp_path / "blocks", (20, 33)) is None


def write_maps(folder, members):
    """A square in the middle of the first map; the second one is like it."""
    level_HW = np.zeros((40, 40), np.uint16)
    level_HW[16:24, 16:24] = 65535
    for number, one in enumerate(members):
        path = folder / f"{number}.npy"
        np.save(path, level_HW)
        yield fusion.PassResult(file=path, weight=1.0, member=one)


def test_fusing_keeps_the_confident_blocks_for_later_passes(tmp_path):
    members = [member(core=8, context=0, scale=1.0), member(core=40, context=0, scale=1.0)]
    results = list(write_maps(tmp_path, members))
    level_HW = np.load(results[0].file)
    level_HW[0, :8] = 20000
    np.save(results[0].file, level_HW)
    keep = fusion.KeepConfident(below=0.1, file=tmp_path / "kept" / "blocks", members=members)
    options = {"kind": "semantic", "image_id": "i"}
    plain = fusion.fuse(results, {"threshold": 0.5}, (40, 40), **options)
    found = fusion.fuse(results, {"threshold": 0.5}, (40, 40), **options, keep=keep)
    assert np.array_equal(found.prediction.runs, plain.prediction.runs)
    assert (found.doubt, plain.left) == (plain.doubt, ())
    assert found.left == (1 / 25, 1.0)
    stored = load_confident(keep.file, (40, 40))
    assert np.isnan(stored.means[0, 0])
    assert np.nansum(stored.means) == stored.means[2, 2] == pytest.approx(1)


def test_a_full_disk_costs_the_blocks_and_not_the_row(tmp_path):
    (tmp_path / "kept").write_text("a file where a folder should be")
    results = list(write_maps(tmp_path, [member(core=8, context=0, scale=1.0)]))
    keep = fusion.KeepConfident(below=0.5, file=tmp_path / "kept" / "blocks", members=[results[0].member])
    found = fusion.fuse(results, {"threshold": 0.5}, (40, 40), kind="semantic", image_id="i", keep=keep)
    assert found.left == ()
    assert len(found.prediction.runs) == 8, "a square of eight columns"
