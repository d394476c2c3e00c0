"""How the tests of the models look inside a network: raw outputs, settled norms, memory, changed copies."""

import copy

import torch

from benchmarks.network_probes import images
from kit.models import build, tiny

PROPOSALS = ((4.0, 6.0, 44.0, 36.0), (30.0, 20.0, 90.0, 92.0), (1.5, 60.25, 120.0, 95.0))
"""x0 y0 x1 y1 in pixels: small, large, and between the pixels."""


def predicted(module, x_NCHW):
    """Everything a network says about each image, as a list of tensors an image."""
    with torch.no_grad():
        if module.spec.kind == "semantic":
            return [[output] for output in module(x_NCHW)]
        return [[found.scores, found.boxes, found.masks] for found in module.detect(x_NCHW)]


@torch.no_grad()
def raw(module, x_NCHW):
    """A network's numbers before anything is chosen among them; first axis: images.

    Detections are discrete: a rounding error can exchange two of them at a threshold or in NMS. So of an
    instance network these are the pyramid's maps, the proposal head's logits and shifts, and the logits that
    every stage gives for three fixed proposals.
    """
    if module.spec.kind == "semantic":
        return [module(x_NCHW)]
    padded, _ = module.prepared(x_NCHW)
    features = module.network.extract_feat(padded)
    if isinstance(features[0], tuple | list):  # with an assisting backbone; the lead comes last
        features = features[-1]
    classes, shifts = module.network.rpn_head(features)
    return [*features, *classes, *shifts, *_heads(module.network.roi_head, features)]


def _heads(roi_head, features):
    count = len(features[0])
    boxes = torch.tensor(PROPOSALS)
    rois = torch.cat([torch.cat([torch.full((len(boxes), 1), i), boxes], dim=1) for i in range(count)])
    outputs, mask_features = [], None
    for stage, head in enumerate(roi_head.mask_head):
        found = roi_head._bbox_forward(stage, features, rois, semantic_feat=None)
        cut = roi_head.mask_roi_extractor[stage](
            features[: roi_head.mask_roi_extractor[stage].num_inputs], rois
        )
        logits, mask_features = head(cut, mask_features)
        outputs += [found["cls_score"], found["bbox_pred"], logits]
    return [output.unflatten(0, (count, len(boxes))) for output in outputs]


def settled(name):
    """The tiny form in eval mode, its batch norms fitted to what they see.

    With the statistics of a new network (0 and 1) activations grow a thousandfold from layer to layer, which
    no trained network does and half precision cannot hold.
    """
    torch.manual_seed(0)
    module = build(tiny(name)).train()
    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the plain average of all batches
    for seed in range(3):
        raw(module, images(2, 96, 128, seed=seed))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return module.eval()


def storages(module):
    """Addresses of the memory behind all parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}


def changed_copy(module):
    """A deep copy whose every parameter differs from the original's."""
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    return other
