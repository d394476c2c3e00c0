"""Masks of several classes: the maps of each class are those that it would have alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit.errors import KitError
from kit.inference.class_fusion import ClassFusion, ClassRows, fuse_classes
from kit.inference.class_maps import predict_class_maps
from kit.inference.semantic import predict_map
from kit.inference.semantic_settings import SemanticSettings
from kit.inference.store import open_map
from kit.masks import rle
from tests.kit.inference.predicting import image_pass


class Net(torch.nn.Module):
    """Logits of some classes by fixed weights of the neighbourhood; `only` keeps one of them."""

    def __init__(self, classes, only=None):
        super().__init__()
        self.layer, self.only = torch.nn.Conv2d(3, classes, 3, padding=1), only
        values = torch.linspace(-1, 1, self.layer.weight.numel())
        self.layer.weight.data = (values * 7).sin().reshape(self.layer.weight.shape) / 40

    def forward(self, x):
        value = self.layer(x.float())
        return value if self.only is None else value[:, self.only : self.only + 1]


@pytest.mark.parametrize("view", ["identity", "hflip+rot90@0.5"])
@pytest.mark.parametrize("blend", ["halo", "gaussian"])
def test_each_class_has_the_map_that_it_would_have_alone(tmp_path, view, blend):
    torch.manual_seed(0)
    image_HWC = np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    settings = SemanticSettings(core=24, context=4, scale=0.5, batch_size=4, blend=blend)
    net = Net(3)
    predict_class_maps(net, "logit", 3, settings, image_pass(image_HWC, tmp_path / "all.npy", view))
    together = np.asarray(open_map(tmp_path / "all.npy"))
    assert together.shape == (3 * 70, 50)
    for number in range(3):
        net.only = number
        alone = tmp_path / f"{number}.npy"
        predict_map(net, "logit", settings, image_pass(image_HWC, alone, view))
        # A sigmoid of one channel alone may be computed in other vectors: the last of 65536 levels differs.
        difference = together[number * 70 : (number + 1) * 70].astype(int) - np.asarray(open_map(alone))
        assert np.abs(difference).max() <= 1


def test_probabilities_out_of_range_are_refused(tmp_path):
    asked = image_pass(np.full((20, 20, 3), 9, np.uint8), tmp_path / "a.npy")
    settings = SemanticSettings(core=16, context=2, scale=1.0)
    with pytest.raises(KitError, match="for probabilities"):
        predict_class_maps(Net(2), "sigmoid", 2, settings, asked)
    assert not (tmp_path / "a.npy").exists()


maps = arrays(np.uint8, (6, 4))
limits = st.floats(0.05, 0.95)


@given(st.tuples(maps, maps), st.floats(0.1, 9), st.tuples(limits, limits), st.booleans())
def test_masks_are_those_of_a_slow_fusion(stored, weight, thresholds, exclusive):
    (first, second), (one, two) = stored, thresholds
    fusion = ClassFusion(thresholds={"a": one, "b": two}, exclusive=exclusive)
    runs, doubt = fuse_classes([first, second], [1.0, weight], ["a", "b"], fusion)
    share = np.array([1, weight]) / (1 + weight) / 255
    mean = (first * np.float32(share[0]) + second * np.float32(share[1])).reshape(2, 3, 4)
    reached = mean >= np.float32([one, two])[:, None, None]
    if exclusive:
        best = np.where(reached, mean, -1).argmax(axis=0)
        reached &= best == np.arange(2)[:, None, None]
        assert not (rle.decode(runs["a"], 3, 4) & rle.decode(runs["b"], 3, 4)).any()
    for number, name in enumerate("ab"):
        # Sums in another order may differ in the last bit, which decides at a threshold or between equals.
        near = (np.abs(mean - np.float32([one, two])[:, None, None]) < 1e-6).any(axis=0)
        near |= np.abs(mean[0] - mean[1]) < 1e-6
        assert ((rle.decode(runs[name], 3, 4) == reached[number]) | near).all()
    assert 0 <= doubt <= 1


def test_a_threshold_of_no_class_is_refused_and_rows_of_a_class_are_its_own():
    stored = np.arange(24, dtype=np.uint8).reshape(6, 4)
    with pytest.raises(KitError, match="no class"):
        fuse_classes([stored], [1.0], ["a", "b"], ClassFusion(thresholds={"c": 0.5}))
    assert np.array_equal(ClassRows(stored, 3, 3)[1:9], stored[4:6])
