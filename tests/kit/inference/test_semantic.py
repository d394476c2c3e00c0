import tracemalloc

import cv2
import numpy as np
import pytest
import torch

from kit.images.info import ImageInfo
from kit.inference import views
from kit.inference.resize import fit, resize_image
from kit.inference.semantic import predict_map, probability
from kit.inference.semantic_fusion import fuse_semantic
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import open_map
from tests.kit.inference.predicting import image, image_pass, predict
from tests.kit.inference.sources import ArraySource


def whole(image_HWC, module, view="identity"):
    """The same network once over the whole reflected image: what tiling must not change."""
    padded = np.pad(image_HWC, ((8, 8), (8, 8), (0, 0)), mode="reflect")
    x_NCHW = torch.from_numpy(padded).permute(2, 0, 1)[None]
    with torch.no_grad():
        logit_NCHW = views.invert(view, module(views.apply(view, x_NCHW)))
    return logit_NCHW.sigmoid()[0, 0, 8:-8, 8:-8].numpy()


@pytest.mark.parametrize("view", views.names())
@pytest.mark.parametrize("size", [(16, 16), (37, 50), (9, 70), (33, 17)])
def test_tiles_with_enough_context_give_the_whole_image_prediction(tmp_path, semantic, size, view):
    image_HWC = image(*size)
    found = predict(tmp_path, image_HWC, semantic(), view=view)
    assert found.shape == size
    assert np.abs(found - whole(image_HWC, semantic(), view)).max() <= 1 / 65535


@pytest.mark.parametrize("size", [(2, 3), (3, 200)])
def test_images_thinner_than_a_window_are_predicted(tmp_path, semantic, size):
    found = predict(tmp_path, image(*size), semantic(), core=64, context=8, scale=0.5)
    assert found.shape == size
    assert np.isfinite(found).all()


def test_a_scaled_prediction_is_bilinear_in_the_windows_frame(tmp_path, semantic):
    image_HWC = image(30, 30)
    found = predict(tmp_path, image_HWC, semantic(), core=30, context=0, scale=1 / 3)
    blocks = image_HWC.reshape(10, 3, 10, 3, 3).astype(float).mean(axis=(1, 3))
    x_NCHW = torch.from_numpy(blocks.round()).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        small = semantic()(x_NCHW).sigmoid()[0, 0].numpy()
    # The centre of every 3 x 3 block is the centre of the network's pixel.
    assert np.abs(found[1::3, 1::3] - small).max() < 0.02


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
@pytest.mark.parametrize("view", ["identity", "hflip+rot90@0.5"])
def test_batches_that_run_out_of_memory_give_the_same_map(tmp_path, semantic, blend, view):
    image_HWC = image(60, 60)
    plain = predict(tmp_path, image_HWC, semantic(), batch_size=8, blend=blend, view=view)
    tight = semantic(largest_batch=2)
    found = predict(tmp_path, image_HWC, tight, batch_size=8, blend=blend, view=view)
    assert np.array_equal(found, plain)
    assert tight.network.batches[:3] == [8, 4, 2]
    assert max(tight.network.batches[3:]) == 2


def test_large_windows_go_through_the_cpu_one_by_one_unless_told_otherwise(tmp_path, colours):
    """More at once need more memory and are not faster there."""

    def batches(core, view="identity", **told):
        seen = []
        hook = colours.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
        settings = SemanticSettings(core=core, context=0, scale=1.0, batch_size=4)
        image_HWC = np.zeros((2 * core, 2 * core, 3), np.uint8)
        predict_map(colours, "logit", settings, image_pass(image_HWC, tmp_path / "map.npy", view, **told))
        hook.remove()
        return seen

    assert batches(64) == [4]
    assert batches(512) == [2, 2]
    assert batches(768) == [1, 1, 1, 1]
    assert batches(768, "identity+identity@0.25") == [1] * 8, "the largest of the scales decides"
    assert batches(768, batch_size=3) == [3, 1]


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
def test_the_map_does_not_depend_on_the_batch_size(tmp_path, semantic, blend):
    image_HWC = image(70, 45)
    first, *others = (
        predict(tmp_path, image_HWC, semantic(), batch_size=batch_size, blend=blend)
        for batch_size in (1, 2, 7, 100)
    )
    # torch adds up a single image's convolution in another order than a batch's.
    assert all(np.abs(other - first).max() <= 1 / 65535 for other in others)
    assert all(np.array_equal(other, others[0]) for other in others)


SETS = ["identity+hflip", "identity+hflip+rot90+transpose", "vflip@0.5+rot270+hflip@0.5+identity@1.5"]


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
@pytest.mark.parametrize("view", SETS)
def test_a_set_of_views_is_the_mean_of_its_views_probabilities(tmp_path, semantic, view, blend):
    image_HWC = image(37, 50)
    parts = [
        predict(tmp_path, image_HWC, semantic(), view=part, blend=blend, core=16, context=8)
        for part in view.split("+")
    ]
    together = predict(tmp_path, image_HWC, semantic(), view=view, blend=blend, core=16, context=8)
    assert np.abs(together - np.mean(parts, axis=0)).max() <= 1 / 65535
    assert max(np.abs(part - together).max() for part in parts) > 0.01


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.3])
@pytest.mark.parametrize("symmetry", views.names())
def test_a_network_that_sees_pixels_only_has_one_map_whatever_the_symmetry(
    tmp_path, colours, symmetry, scale
):
    """So every view at a scale is undone exactly where it was applied."""
    image_HWC = image(40, 40)
    plain = predict(tmp_path, image_HWC, colours, core=20, context=10, view=f"identity@{scale}")
    found = predict(tmp_path, image_HWC, colours, core=20, context=10, view=f"{symmetry}@{scale}")
    assert np.abs(found - plain).max() < 0.01
    assert np.ptp(plain) > 0.1


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (33, 33)])
@pytest.mark.parametrize("view", ["identity", "hflip", "rot90", "identity@0.5+transverse"])
def test_an_image_seen_whole_is_one_forward_pass_enlarged(tmp_path, semantic, size, view):
    image_HWC, expected = image(*size), []
    for part in views.get_set(view):
        sides = fit(*size, int(30 * part.scale))
        x_NCHW = torch.from_numpy(resize_image(image_HWC, *sides)).permute(2, 0, 1)[None]
        with torch.no_grad():
            prob_NCHW = views.invert(part.name, semantic()(views.apply(part.name, x_NCHW)).sigmoid())
        expected.append(torch.nn.functional.interpolate(prob_NCHW, size, mode="bilinear")[0, 0].numpy())
    module = semantic()
    found = predict(tmp_path, image_HWC, module, size=30, view=view)
    assert np.abs(found - np.mean(expected, axis=0)).max() <= 1 / 65535
    assert module.network.batches == [1] * len(expected)


@pytest.mark.parametrize("pixel_size", [0.25, 0.5, 1.0])
def test_an_image_of_another_pixel_size_is_predicted_as_if_it_had_the_settings(tmp_path, colours, pixel_size):
    """The same tissue in more or fewer pixels gives the same map in more or fewer pixels."""
    settings = {"core": 32, "context": 16, "scale": 0.25, "pixel_size": 0.5}
    tissue_HWC = cv2.GaussianBlur(image(64, 64), (0, 0), 6)
    side = round(64 * 0.5 / pixel_size)
    image_HWC = cv2.resize(
        tissue_HWC, (side, side), interpolation=cv2.INTER_AREA if side < 64 else cv2.INTER_LINEAR
    )
    plain = predict(tmp_path, tissue_HWC, colours, **settings)
    seen = []
    found = predict(
        tmp_path,
        image_HWC,
        colours,
        info=ImageInfo(pixel_size=pixel_size),
        on_batch=lambda *at: seen.append(at),
        **settings,
    )
    assert seen[-1] == (4, 4), "as many windows as at the settings' own pixel size"
    back = cv2.resize(found, (64, 64), interpolation=cv2.INTER_AREA if side > 64 else cv2.INTER_LINEAR)
    assert np.abs(back - plain).max() < 0.01


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
def test_windows_without_tissue_are_zero_and_the_others_as_without_skipping(tmp_path, semantic, blend):
    image_HWC = np.full((256, 320, 3), 240, np.uint8)
    image_HWC[100:160, 40:110] = image(60, 70)
    settings = {"core": 32, "context": 16, "blend": blend, "batch_size": 4}
    module, told, progress = semantic(), [], []
    plain = predict(tmp_path, image_HWC, semantic(), **settings)
    found = predict(
        tmp_path,
        image_HWC,
        module,
        skip_background=True,
        on_skipped=lambda *at: told.append(at),
        on_batch=lambda *at: progress.append(at),
        **settings,
    )
    ((skipped, total),) = told
    assert total == 80
    assert progress[-1] == (80, 80)
    assert sum(module.network.batches) == total - skipped < 40
    blocks = found.reshape(8, 32, 10, 32).swapaxes(1, 2)
    empty = (blocks == 0).all(axis=(2, 3))
    assert empty.sum() == skipped
    if blend == "halo":
        kept = np.kron(~empty, np.ones((32, 32), bool))
        assert np.array_equal(found[kept], plain[kept])
    assert np.array_equal(found[116:144, 56:94], plain[116:144, 56:94])


def test_nothing_is_told_of_background_that_was_not_looked_for(tmp_path, semantic):
    told = []
    predict(tmp_path, image(20, 20), semantic(), on_skipped=lambda *at: told.append(at))
    assert told == []


def test_a_slide_of_glass_alone_needs_no_forward_pass(tmp_path, semantic):
    module, told = semantic(), []
    found = predict(
        tmp_path,
        np.full((70, 50, 3), 250, np.uint8),
        module,
        skip_background=True,
        on_skipped=lambda *at: told.append(at),
    )
    assert found.shape == (70, 50)
    assert not found.any()
    assert told == [(20, 20)]
    assert module.network.batches == []


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
def test_bytes_are_within_half_a_level_of_the_finer_map(tmp_path, semantic, blend):
    image_HWC = image(50, 50)
    fine = predict(tmp_path, image_HWC, semantic(), blend=blend)
    coarse = predict(tmp_path, image_HWC, semantic(), blend=blend, stored="uint8")
    assert np.abs(coarse - fine).max() <= 1 / 510 + 1 / 65535
    assert (tmp_path / "map.npy").stat().st_size < 50 * 50 + 200


@pytest.mark.parametrize("settings", [{}, {"blend": "gaussian"}, {"scale": 0.5, "context": 3}, {"size": 64}])
@pytest.mark.parametrize("size", [(1, 1), (1, 100_000), (100_000, 1)])
def test_images_of_one_pixel_or_one_line_are_predicted(tmp_path, colours, size, settings):
    windows = {} if "size" in settings else {"core": 128, "batch_size": 64}
    found = predict(tmp_path, image(*size), colours, **{**windows, **settings})
    assert found.shape == size
    assert found.min() > 0


def test_progress_counts_every_tile_once(tmp_path, semantic):
    seen = []
    predict(tmp_path, image(40, 40), semantic(), on_batch=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 9), (6, 9), (9, 9)]


@pytest.mark.parametrize("stored", ["uint8", "uint16"])
def test_a_half_reaches_a_threshold_of_a_half_however_it_is_stored(tmp_path, stored):
    class Undecided(torch.nn.Module):
        def forward(self, x_NCHW):
            return torch.zeros(len(x_NCHW), 1, *x_NCHW.shape[-2:])

    predict(tmp_path, image(20, 30), Undecided(), stored=stored)
    runs = fuse_semantic([open_map(tmp_path / "map.npy")], [1.0], 0.5)
    assert runs[:, 1].sum() == 20 * 30


def test_each_declared_output_becomes_the_same_probability():
    logit = torch.tensor([-2.0, 0.0, 3.0]).reshape(1, 1, 1, 3)
    expected = logit.sigmoid()
    assert torch.allclose(probability(logit, "logit", "m"), expected)
    assert torch.allclose(probability(expected, "sigmoid", "m"), expected)
    assert torch.allclose(probability(expected, "softmax", "m"), expected)


def test_the_smoother_really_needs_its_context(tmp_path, semantic):
    """Guards the tests above: without context the tiled map must differ from the whole one."""
    image_HWC = image(37, 50)
    found = predict(tmp_path, image_HWC, semantic(), context=1)
    assert np.abs(found - whole(image_HWC, semantic())).max() > 0.01


@pytest.mark.parametrize(
    "settings",
    [
        {"core": 32, "context": 16, "scale": 0.25},
        {"core": 32, "context": 80, "scale": 0.25, "blend": "gaussian"},
        {"core": 30, "context": 16, "scale": 0.4, "skip_background": True},
    ],
)
def test_memory_is_bands_whatever_the_height_of_the_slide(tmp_path, semantic, settings):
    class Endless(ArraySource):
        """A slide that is nowhere in memory."""

        def __init__(self, height):
            super().__init__(np.zeros((1, 96, 3), np.uint8))
            self._height = height

        height = property(lambda self: self._height)

        def read_band(self, y0, y1):
            return np.full((y1 - y0, self.width, 3), 200, np.uint8)

    def peak(height):
        tracemalloc.start()
        asked = image_pass(Endless(height), tmp_path / f"{height}.npy")
        predict_map(semantic(), "logit", SemanticSettings(batch_size=2, **settings), asked)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(64)  # what is allocated once a process
    assert peak(3200) < peak(320) + 100_000 < 3200 * 96 * 3
