import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

from benchmarks.network_probes import images, squares
from kit.local.training import prepare
from kit.models import build
from kit.models.cascade_detect import paste
from tests.kit.models.probing import settled
from tests.kit.models.test_detectors import SMALL


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return prepare(build(SMALL), SMALL).eval()


def empty(height, width):
    return {"boxes": torch.zeros(0, 4), "masks": torch.zeros(0, height, width, dtype=torch.bool)}


class TestLosses:
    def test_an_image_without_instances_still_gives_finite_losses(self, module):
        full = torch.zeros(1, 96, 96, dtype=torch.bool)
        full[0, 10:40, 20:60] = True
        some = {"boxes": torch.tensor([[20.0, 10.0, 60.0, 40.0]]), "masks": full}
        losses = module.losses(images(2, 96, 96), [empty(96, 96), some])
        assert {name.rpartition(".")[2] for name in losses} == {
            "loss_rpn_cls",
            "loss_rpn_bbox",
            "loss_cls",
            "loss_bbox",
            "loss_mask",
        }
        assert all(value.ndim == 0 and bool(torch.isfinite(value)) for value in losses.values())

    def test_a_batch_without_any_instance_still_gives_finite_losses(self, module):
        losses = module.losses(images(2, 96, 96), [empty(96, 96), empty(96, 96)])
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        assert bool(torch.isfinite(total))
        module.zero_grad()

    def test_padding_of_a_smaller_image_is_zero_after_normalisation_and_has_no_anchors(self, module):
        targets = [squares(128, 160, [(5, 8), (40, 50)]), squares(96, 130, [(10, 20)])]
        totals = []
        for value in (0, 255):
            x_NCHW = images(2, 128, 160).clone()
            x_NCHW[1, :, 96:] = x_NCHW[1, :, :, 130:] = value
            seen, metas = module._of_own_sizes(*module.prepared(x_NCHW), targets)
            assert seen[1, :, 96:].abs().sum() == seen[1, :, :, 130:].abs().sum() == 0
            assert [meta["img_shape"] for meta in metas] == [(128, 160, 3), (96, 130, 3)]
            assert [meta["pad_shape"] for meta in metas] == [(128, 160, 3), (96, 160, 3)]
            torch.manual_seed(1)
            with torch.no_grad():
                totals.append(torch.stack(list(module.losses(x_NCHW, targets).values())))
        assert torch.equal(*totals), "what a batch is filled up with changes nothing"


class TestDetections:
    def test_they_are_ranked_limited_and_inside_the_image(self, module):
        (found,) = module.detect(images(1, 101, 143))
        assert 0 < len(found) <= 10
        assert found.scores.dtype == found.boxes.dtype == torch.float32
        assert found.masks.dtype == torch.bool
        assert found.masks.shape == (len(found), 101, 143)
        assert bool((found.scores[:-1] >= found.scores[1:]).all())
        assert bool(((found.scores >= 0.001) & (found.scores <= 1)).all())
        assert bool((found.boxes[:, 0::2].clamp(0, 143) == found.boxes[:, 0::2]).all())
        assert bool((found.boxes[:, 1::2].clamp(0, 101) == found.boxes[:, 1::2]).all())

    def test_they_are_those_of_mmdet_s_own_prediction(self, module):
        x_NCHW = images(2, 101, 143, seed=2)
        padded, metas = module.prepared(x_NCHW)
        with torch.no_grad():
            theirs = module.network.simple_test(padded, metas, rescale=False)
        ours = module.detect(x_NCHW)
        assert len(ours) == len(theirs) == 2
        for found, (boxes, masks) in zip(ours, theirs, strict=True):
            assert len(found) > 0
            table = torch.cat([found.boxes, found.scores[:, None]], dim=1).numpy()
            assert np.array_equal(table, boxes[0])
            assert np.array_equal(found.masks.numpy(), np.stack(masks[0]))

    def test_in_half_precision_boxes_keep_the_places_between_the_pixels(self):
        """bfloat16 has eight bits for them, which from 128 pixels on leave none."""
        module, x_NCHW = settled("detectors-r50"), images(1, 101, 243)
        (exact,) = module.detect(x_NCHW)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            (found,) = module.detect(x_NCHW)
        assert found.boxes.dtype == found.scores.dtype == torch.float32
        assert bool((found.boxes != found.boxes.bfloat16()).any())
        nearest = (exact.boxes[:, None] - found.boxes).abs().amax(dim=2).amin(dim=1)
        assert float(nearest.median()) < 0.1

    def test_a_score_threshold_nothing_reaches_leaves_none(self, module):
        strict = build({**SMALL, "score_threshold": 1.0}).eval()
        strict.network.load_state_dict(module.network.state_dict())
        for found in strict.detect(torch.zeros(2, 3, 96, 96, dtype=torch.uint8)):
            assert len(found) == 0
            assert found.boxes.shape == (0, 4)
            assert found.masks.shape == (0, 96, 96)

    def test_an_image_without_proposals_has_none_and_spoils_no_other(self, module):
        picky = copy.deepcopy(module)
        picky.network.rpn_head.test_cfg.min_bbox_size = 10_000
        assert [len(found) for found in picky.detect(images(2, 96, 96))] == [0, 0]


class TestPasting:
    @settings(max_examples=50, deadline=None)
    @given(
        x0=st.floats(0, 60, width=32),
        y0=st.floats(0, 40, width=32),
        width=st.floats(0.5, 60, width=32),
        height=st.floats(0.5, 40, width=32),
        seed=st.integers(0, 2**32),
    )
    def test_a_mask_is_where_bilinear_sampling_over_the_whole_image_puts_it(
        self, x0, y0, width, height, seed
    ):
        prob_Nhw = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(seed))
        box = torch.tensor([[x0, y0, min(x0 + width, 70), min(y0 + height, 50)]])
        sampled_HW = _do_paste_mask(prob_Nhw[:, None], box, 50, 70, skip_empty=False)[0][0]
        (mask_HW,) = paste(prob_Nhw, box, 50, 70, 0.5)
        apart = mask_HW != (sampled_HW >= 0.5)
        assert bool((sampled_HW[apart] - 0.5).abs().le(1e-4).all())  # rounding decides there

    @pytest.mark.parametrize("box", [[5.0, 5.0, 5.0, 20.0], [64.0, 48.0, 64.0, 48.0]])
    def test_a_box_without_area_has_an_empty_mask(self, box):
        assert not paste(torch.ones(1, 28, 28), torch.tensor([box]), 48, 64, 0.5).any()

    def test_no_boxes_make_no_masks(self):
        assert paste(torch.zeros(0, 28, 28), torch.zeros(0, 4), 48, 64, 0.5).shape == (0, 48, 64)


BROKEN = """
import torch
from benchmarks.network_probes import images, squares
from kit.errors import KitError
from kit.local.training import prepare
from kit.models import build
from tests.kit.models.probing import settled
from tests.kit.models.test_detectors import SMALL

x_NCHW = torch.randint(0, 256, (1, 3, 96, 96), dtype=torch.uint8)
target = {"boxes": torch.tensor([[20.0, 10.0, 60.0, 40.0]]), "masks": torch.ones(1, 96, 96, dtype=torch.bool)}
for part, value, training in (
    ("backbone.layer1", "nan", False),
    ("rpn_head.rpn_cls", "inf", True),
    ("roi_head.bbox_head.1.fc_reg", "nan", False),
):
    module = prepare(build(SMALL), SMALL).train(training)
    with torch.no_grad():
        for parameter in module.network.get_submodule(part).parameters():
            parameter.fill_(float(value))
    try:
        module.losses(x_NCHW, [target]) if training else module.detect(x_NCHW)
    except KitError as error:
        print(error.problem, "|", error.fix)
"""


def test_numbers_that_are_none_are_told_with_the_network_instead_of_crashing_the_process():
    command = [sys.executable, "-W", "ignore", "-c", BROKEN]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert [line.split(" | ")[0] for line in told] == [
        "the region proposals of detectors-r50 are not numbers",
        "the region proposals of detectors-r50 are not numbers",
        "the boxes of stage 2 of detectors-r50 are not numbers",
    ]
    assert all("training diverged" in line for line in told)
