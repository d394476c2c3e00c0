import tracemalloc

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.inference import views
from kit.inference.reader import ArraySource
from kit.inference.semantic import predict_map, probability
from kit.inference.settings import SemanticSettings
from kit.inference.store import open_map

CPU = torch.device("cpu")


def image(height, width):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def predict(tmp_path, image_HWC, module, *, view="identity", on_batch=None, **settings):
    plan = SemanticSettings(**{"core": 16, "context": 4, "scale": 1.0, "batch_size": 3, **settings})
    path = predict_map(
        module,
        "logit",
        plan,
        ArraySource(image_HWC),
        view=view,
        target=tmp_path / "map.npy",
        device=CPU,
        where="member m, image i",
        on_batch=on_batch,
    )
    return np.array(open_map(path)) / 65535


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


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
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


def test_batches_that_run_out_of_memory_give_the_same_map(tmp_path, semantic):
    image_HWC = image(60, 60)
    plain = predict(tmp_path, image_HWC, semantic(), batch_size=8)
    tight = semantic(largest_batch=2)
    assert np.array_equal(predict(tmp_path, image_HWC, tight, batch_size=8), plain)
    assert tight.network.batches[:3] == [8, 4, 2]
    assert max(tight.network.batches[3:]) == 2


def test_memory_that_does_not_fit_one_tile_is_told(tmp_path, semantic):
    with pytest.raises(KitError, match="batch of one"):
        predict(tmp_path, image(20, 20), semantic(largest_batch=0))
    assert not list(tmp_path.iterdir()), "nothing half-written stays"


def test_progress_counts_every_tile_once(tmp_path, semantic):
    seen = []
    predict(tmp_path, image(40, 40), semantic(), on_batch=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 9), (6, 9), (9, 9)]


def test_probabilities_that_are_not_numbers_name_member_and_image(tmp_path, semantic):
    broken = semantic()
    torch.nn.init.constant_(broken.network.second.bias, float("nan"))
    with pytest.raises(KitError, match="probabilities that are not numbers") as caught:
        predict(tmp_path, image(20, 20), broken)
    assert "where: member m, image i" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_image_without_pixels_is_refused(tmp_path, semantic):
    with pytest.raises(KitError, match="image has no pixels: 0 x 5"):
        predict(tmp_path, np.zeros((0, 5, 3), np.uint8), semantic())


def test_an_error_of_the_reader_reaches_the_caller_and_leaves_no_file(tmp_path, semantic):
    class Broken(ArraySource):
        def read_band(self, y0, y1):
            if y1 > 30:
                raise KitError("pixel data ends early", where="slide.tiff")
            return super().read_band(y0, y1)

    with pytest.raises(KitError, match="pixel data ends early"):
        predict_map(
            semantic(),
            "logit",
            SemanticSettings(core=8, context=2, scale=1.0),
            Broken(image(64, 8)),
            view="identity",
            target=tmp_path / "map.npy",
            device=CPU,
            where="m",
        )
    assert not list(tmp_path.iterdir())


def test_each_declared_output_becomes_the_same_probability():
    logit = torch.tensor([-2.0, 0.0, 3.0]).reshape(1, 1, 1, 3)
    expected = logit.sigmoid()
    assert torch.allclose(probability(logit, "logit"), expected)
    assert torch.allclose(probability(expected, "sigmoid"), expected)
    assert torch.allclose(probability(expected, "softmax"), expected)


@pytest.mark.parametrize(("channels", "output"), [(2, "logit"), (3, "sigmoid"), (2, "softmax")])
def test_channels_that_contradict_the_declaration_are_refused(channels, output):
    with pytest.raises(KitError, match=f"declares {output} returned {channels} channels"):
        probability(torch.zeros(1, channels, 2, 2), output)


def test_the_smoother_really_needs_its_context(tmp_path, semantic):
    """Guards the tests above: without context the tiled map must differ from the whole one."""
    image_HWC = image(37, 50)
    found = predict(tmp_path, image_HWC, semantic(), context=1)
    assert np.abs(found - whole(image_HWC, semantic())).max() > 0.01


def test_memory_is_bands_whatever_the_height_of_the_slide(tmp_path, semantic):
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
        predict_map(
            semantic(),
            "logit",
            SemanticSettings(core=32, context=16, scale=0.25, batch_size=2),
            Endless(height),
            view="identity",
            target=tmp_path / f"{height}.npy",
            device=CPU,
            where="m",
        )
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(64)  # what is allocated once a process
    assert peak(3200) < peak(320) + 100_000 < 3200 * 96 * 3
