import threading

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.inference.semantic import probability
from tests.kit.inference.predicting import image, predict
from tests.kit.inference.sources import ArraySource


@pytest.fixture(autouse=True)
def _nothing_stays(tmp_path):
    """Whatever goes wrong, neither half a map nor a thread outlives it."""
    yield
    assert not list(tmp_path.iterdir())
    assert not {"reader", "writer"} & {thread.name for thread in threading.enumerate()}


def test_memory_that_does_not_fit_one_tile_is_told(tmp_path, semantic):
    with pytest.raises(KitError, match="batch of one"):
        predict(tmp_path, image(20, 20), semantic(largest_batch=0))


def test_probabilities_that_are_not_numbers_name_member_and_image(tmp_path, semantic):
    broken = semantic()
    torch.nn.init.constant_(broken.network.second.bias, float("nan"))
    with pytest.raises(KitError, match="probabilities that are not numbers") as caught:
        predict(tmp_path, image(20, 20), broken)
    assert "where: member m, image i" in str(caught.value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_logits_that_overflow_are_no_certainty(tmp_path, semantic, value):
    broken = semantic()
    torch.nn.init.constant_(broken.network.second.bias, value)
    with pytest.raises(KitError, match="probabilities that are not numbers"):
        predict(tmp_path, image(20, 20), broken)


class Constant(torch.nn.Module):
    """Returns one value everywhere."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x_NCHW):
        return torch.full_like(x_NCHW[:, :1], self.value, dtype=torch.float32)


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
@pytest.mark.parametrize("stored", ["uint8", "uint16"])
@pytest.mark.parametrize("view", ["identity", "identity+hflip+rot90@0.5"])
def test_values_above_one_never_begin_again_at_zero(tmp_path, blend, stored, view):
    settings = {"view": view, "blend": blend, "stored": stored}
    rounded = predict(tmp_path, image(40, 40), Constant(1 + 5e-7), "sigmoid", **settings)
    assert (rounded == 1).all()
    (tmp_path / "map.npy").unlink()
    for value in (1 + 9e-6, 1.2, 2.5):
        with pytest.raises(KitError, match="returned values from"):
            predict(tmp_path, image(40, 40), Constant(value), "sigmoid", **settings)


def test_values_below_zero_are_told(tmp_path):
    with pytest.raises(KitError, match=r"returned values from -0\.2 to -0\.2"):
        predict(tmp_path, image(20, 20), Constant(-0.2), "sigmoid")


def test_values_that_are_no_probabilities_are_told(tmp_path, semantic):
    with pytest.raises(KitError, match=r"returned values from -.* for probabilities") as caught:
        predict(tmp_path, image(20, 20), semantic(), "sigmoid")  # it returns logits
    assert 'declares output "logit"' in str(caught.value)


def test_an_image_without_pixels_is_refused(tmp_path, semantic):
    with pytest.raises(KitError, match="image has no pixels: 0 x 5"):
        predict(tmp_path, np.zeros((0, 5, 3), np.uint8), semantic())


def test_an_error_of_the_reader_reaches_the_caller(tmp_path, semantic):
    class Broken(ArraySource):
        def read_band(self, y0, y1):
            if y1 > 30:
                raise KitError("pixel data ends early", where="slide.tiff")
            return super().read_band(y0, y1)

    with pytest.raises(KitError, match="pixel data ends early"):
        predict(tmp_path, Broken(image(64, 8)), semantic(), core=8, context=2)


@pytest.mark.parametrize("blend", ["halo", "gaussian"])
def test_a_disk_that_fills_up_in_the_middle_is_told(tmp_path, semantic, disk_of, blend):
    with disk_of(20_000), pytest.raises(KitError, match=r"cannot write map\.npy: File too large") as caught:
        predict(tmp_path, image(300, 64), semantic(), blend=blend)
    assert isinstance(caught.value.__cause__, OSError), "by which the worker knows a full disk"


def test_an_error_of_the_caller_ends_the_pass(tmp_path, semantic):
    def deaf(done, total):
        raise BrokenPipeError("the supervisor is gone")

    with pytest.raises(BrokenPipeError):
        predict(tmp_path, image(300, 64), semantic(), on_batch=deaf)


@pytest.mark.parametrize(("channels", "output"), [(2, "logit"), (3, "sigmoid"), (2, "softmax")])
def test_channels_that_contradict_the_declaration_are_refused(channels, output):
    with pytest.raises(KitError, match=f"declares {output} returned {channels} channels") as caught:
        probability(torch.zeros(1, channels, 2, 2), output, "member m, image i")
    assert caught.value.where == "member m, image i"
