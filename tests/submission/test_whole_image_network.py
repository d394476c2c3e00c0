"""The rendered script computes a SegFormer at the image's own size, as its publication does."""

import csv

import numpy as np
import pytest
import tifffile
import torch

from kit.models import build
from tests.kit.models.test_segformer import MINIATURE, miniature_of_mmseg

HEIGHT, WIDTH = 150, 210  # no multiples of 32, nor of 4
NETWORK = {"network": "segformer-b0", **MINIATURE}
WHOLE = {"core": None, "context": None, "scale": None, "size": WIDTH}

pytestmark = [  # mmseg's advice on other ways to build it
    pytest.mark.filterwarnings("ignore:For binary segmentation, we suggest using"),
    pytest.mark.filterwarnings("ignore:.*Default ``avg_non_ignore`` is False"),
]


def louder(_, module):
    """Make the random logits differ by more than the steps in which maps are stored."""
    with torch.no_grad():
        module.network.decode_head.conv_seg.weight.mul_(100)


def probability_of_mmseg(image_HWC):
    """The sigmoid of the foreground's logit, by mmseg's own network with the weights that are shipped."""
    torch.manual_seed(0)  # as the first member's
    module = build(NETWORK)
    louder(0, module)
    weights = {
        key: value.half().to(value.dtype) if value.is_floating_point() else value
        for key, value in module.network.state_dict().items()
    }
    original = miniature_of_mmseg("b0").eval()
    original.load_state_dict(weights)
    x_NCHW = torch.from_numpy(image_HWC).permute(2, 0, 1)[None]
    with torch.no_grad():
        return original.encode_decode(module.normalise(x_NCHW), None)[0, 1].sigmoid().numpy()


def mask_of(text):
    """Pairs of start (from 1) and length, down the columns."""
    flat = np.zeros(HEIGHT * WIDTH, bool)
    numbers = list(map(int, text.split()))
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(HEIGHT, WIDTH, order="F")


def test_an_image_of_no_multiple_gets_mmseg_s_mask(tools, tmp_path):
    data = tools.write_kidney(tmp_path / tools.slug, {"aaa": (HEIGHT, WIDTH)})
    probability_HW = probability_of_mmseg(tifffile.imread(data / "test" / "aaa.tiff"))
    threshold = float(np.median(probability_HW))
    kit = tools.make_kit(
        tmp_path / "kit",
        members=1,
        change=louder,
        network=NETWORK,
        inference=WHOLE,
        settings={"threshold": threshold},
    )
    outcome = tools.run(kit.script, tools.mount(tmp_path / "input", kit, data), tmp_path / "working")
    assert outcome.code == 0, outcome.text
    (row,) = csv.DictReader(outcome.csv.splitlines())
    differing = mask_of(row["predicted"]) != (probability_HW >= threshold)
    assert 0.4 < mask_of(row["predicted"]).mean() < 0.6
    assert differing.mean() < 2e-4
