"""Neck and detectors: what is trained, under which names, and what detection runs."""

import pytest
import torch
from cbnetv2 import CBFPN, CBFasterRCNN
from cbnetv2.detectors import named
from mmdet.models.necks import FPN

from bundle.packages.cbnetv2.tests.miniatures import DETECTORS, batch, randomised, small_detector

FPN_WORDS = {"in_channels": [4, 8], "out_channels": 6, "num_outs": 3}


def maps(seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(1, 4 * 2**k, 8 >> k, 12 >> k, generator=generator) for k in range(2))


def inputs_of(name):
    data = batch(semantic=name == "htc_semantic")
    if name in {"faster", "cascade"}:
        del data["gt_masks"]
    return data


@pytest.fixture(scope="module", params=DETECTORS)
def trained(request):
    """A detector in training and its losses on one batch."""
    detector = small_detector(DETECTORS[request.param]())
    detector.train()
    data = inputs_of(request.param)
    torch.manual_seed(7)
    return request.param, detector, data, detector.forward_train(**data)


def test_the_neck_trains_on_every_set_and_detects_on_the_leads():
    neck, plain = randomised(CBFPN(**FPN_WORDS)), randomised(FPN(**FPN_WORDS))
    sets = (maps(0), maps(1))
    pyramids = neck.train()(sets)
    assert isinstance(pyramids, list)
    for pyramid, one in zip(pyramids, sets, strict=True):
        assert isinstance(pyramid, tuple)
        assert all(torch.equal(a, b) for a, b in zip(pyramid, plain(one), strict=True))
    lead = neck.eval()(sets)
    assert isinstance(lead, tuple)
    assert all(torch.equal(a, b) for a, b in zip(lead, plain(sets[1]), strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_the_neck_gives_an_ordinary_backbone_an_ordinary_pyramid(training):
    neck, plain = randomised(CBFPN(**FPN_WORDS)).train(training), randomised(FPN(**FPN_WORDS))
    assert all(torch.equal(a, b) for a, b in zip(neck(maps(0)), plain(maps(0)), strict=True))


def test_losses_are_those_of_the_two_pyramids_computed_apart(trained):
    _, detector, data, losses = trained
    truth = {key: value for key, value in data.items() if key.startswith("gt_")}
    semantic = {key: truth.pop(key) for key in list(truth) if key == "gt_semantic_seg"}
    expected = {}
    torch.manual_seed(7)
    pyramids = detector.neck(detector.backbone(data["img"]))
    rpn, settings = detector.rpn_head, detector.train_cfg.rpn_proposal
    for index, pyramid in enumerate(pyramids):
        scores, deltas = rpn(pyramid)
        found = rpn.loss(scores, deltas, truth["gt_bboxes"], data["img_metas"])
        expected.update(weighted(found, index))
        proposals = rpn.get_bboxes(scores, deltas, img_metas=data["img_metas"], cfg=settings)
    for index, pyramid in enumerate(pyramids):
        found = detector.roi_head.forward_train(pyramid, data["img_metas"], proposals, **truth, **semantic)
        expected.update(weighted(found, index))
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=lambda text, name=name: f"{name}: {text}")
    total, _ = detector._parse_losses(losses)
    by_set = [
        sum(scalar(value) for name, value in losses.items() if "loss" in name and ending in name[-6:])
        for ending in ("0_w0.5", "1")
    ]
    torch.testing.assert_close(total, by_set[0] + by_set[1])


def weighted(losses, index):
    """The documented names: index behind, half for the assistant's losses but not for its accuracy."""
    if index == 1:
        return {f"{name}1": value for name, value in losses.items()}
    named_losses = {}
    for name, value in losses.items():
        if "loss" in name:
            halves = [0.5 * one for one in value] if isinstance(value, list) else 0.5 * value
            named_losses[f"{name}0_w0.5"] = halves
        else:
            named_losses[f"{name}0"] = value
    return named_losses


def scalar(value):
    return sum(one.mean() for one in value) if isinstance(value, list) else value.mean()


def test_every_trained_weight_gets_a_gradient_from_one_step(trained):
    _, detector, data, _ = trained
    detector.zero_grad()
    losses = detector.train_step(data, optimizer=None)
    losses["loss"].backward()
    without = [
        name for name, value in detector.named_parameters() if value.requires_grad and value.grad is None
    ]
    assert without == []
    assert losses["log_vars"]["loss"] > 0


def test_names_are_as_documented(trained):
    name, _, _, losses = trained
    expected = {"loss_rpn_cls0_w0.5", "loss_rpn_cls1", "loss_rpn_bbox0_w0.5", "loss_rpn_bbox1"}
    if name == "htc_semantic":
        expected |= {"loss_semantic_seg0_w0.5", "loss_semantic_seg1"}
    stages = [""] if name in {"faster", "mask"} else ["s0.", "s1.", "s2."]
    kinds = ["loss_cls", "loss_bbox"] + ([] if name in {"faster", "cascade"} else ["loss_mask"])
    expected |= {f"{s}{kind}{ending}" for s in stages for kind in kinds for ending in ("0_w0.5", "1")}
    expected |= {f"{s}acc{index}" for s in stages for index in (0, 1)}
    assert set(losses) == expected


def test_detection_neither_runs_the_neck_on_the_assistant_nor_needs_it(trained):
    _, detector, data, _ = trained
    detector.eval()
    runs = []
    handle = detector.neck.lateral_convs[0].register_forward_hook(lambda *_: runs.append(1))
    with torch.no_grad():
        results = detector.simple_test(data["img"], data["img_metas"])
    handle.remove()
    detector.train()
    assert len(runs) == 1
    assert len(results) == 2


def test_another_weight_changes_the_assistants_share_and_its_name():
    detector = small_detector({**DETECTORS["faster"](), "assistant_weight": 0.25}).train()
    torch.manual_seed(7)
    losses = detector.forward_train(**inputs_of("faster"))
    assert {"loss_cls0_w0.25", "loss_cls1", "acc0"} <= set(losses)


def test_weights_and_accuracies_are_named_apart():
    losses = {"loss_cls": torch.tensor(2.0), "loss_rpn": [torch.tensor(4.0)], "acc": torch.tensor(90.0)}
    assert named(losses, 0, 0.5) == {"loss_cls0_w0.5": 1.0, "loss_rpn0_w0.5": [2.0], "acc0": 90.0}
    assert named(losses, 1, 1.0) == {"loss_cls1": 2.0, "loss_rpn1": [4.0], "acc1": 90.0}


def test_an_ordinary_backbone_trains_under_the_ordinary_names():
    settings = DETECTORS["faster"]()
    detector = small_detector(settings)
    detector.backbone = detector.backbone.cb_modules[0]
    losses = detector.train().forward_train(**inputs_of("faster"))
    assert set(losses) == {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox", "acc"}


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="assistant_weight is -1; a loss cannot count less than nothing"):
        CBFasterRCNN(assistant_weight=-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_detection_and_features_are_finite(dtype):
    detector = small_detector(DETECTORS["htc"]()).eval()
    data = batch()
    with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
        found = detector.extract_feat(data["img"])
    assert all(x.isfinite().all() for x in found)
