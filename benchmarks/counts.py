"""Count the parameters of the networks and show them beside the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.markdown import table, write_block
from kit.models import build, names

Config = dict[str, Any]

# A classifier's published count includes its last layer, which an encoder does not have. RegNetY-16: the
# layer maps 888 channels to 1000 classes, (888 + 1) * 1000 = 0.89 million weights and biases, so 11.20 - 0.89
# = 10.31 remain. RegNetX-32 has 1008 channels: (1008 + 1) * 1000 = 1.01 million.
ENCODERS = {
    "segformer-b0": 3.4,
    "segformer-b1": 13.1,
    "segformer-b2": 24.2,
    "segformer-b2-daformer": 24.2,
    "segformer-b2-mixupsample": 24.2,
    "segformer-b3": 44.0,
    "segformer-b4": 60.8,
    "segformer-b5": 81.4,
    **{
        f"{decoder}-regnety16{scse}": 11.20 - 0.89
        for decoder in ("unet", "unetplusplus")
        for scse in ("", "-scse")
    },
    **{
        f"{decoder}-regnetx32{scse}": 15.30 - 1.01
        for decoder in ("unet", "unetplusplus")
        for scse in ("", "-scse")
    },
    "cbnetv2-swin-b": 174.63,
    "vit-adapter-l": 327.38,
    "vit-adapter-l-3x": 327.38,
}
"""Network -> published parameters of its encoder, in millions. DetectoRS has no published number; a test
compares it with mmdet's own configuration."""


@dataclass(frozen=True)
class Published:
    """A configuration of one of our two packages, with 80 classes.

    Attributes:
        name: detector and backbone.
        call: Python call that makes the configuration, as the table shows it.
        millions: of parameters, with as many digits as were published.
    """

    name: str
    call: str
    millions: str

    def config(self) -> Config:
        """Return the configuration for mmdet."""
        import cbnetv2.zoo
        import vit_adapter.zoo

        # 'cbnetv2.zoo.htc_swin_b("2fc")' has the package cbnetv2, the function htc_swin_b and the words
        # "2fc". The table shows the same text, so nobody can count one call and show another.
        package, _, call = self.call.partition(".zoo.")
        function, _, words = call.rstrip(")").partition("(")
        zoo = {"cbnetv2": cbnetv2.zoo, "vit_adapter": vit_adapter.zoo}[package]
        make: Callable[..., Config] = getattr(zoo, function)
        return make(*([words.strip('"')] if words else []))


PUBLISHED = (
    Published("Faster R-CNN, CB-R50", "cbnetv2.zoo.faster_rcnn_r50()", "69.6"),
    Published("Cascade R-CNN, CB-Res2Net101", 'cbnetv2.zoo.cascade_rcnn_res2net101("4conv1fc")', "146.2"),
    Published("Mask R-CNN, CB-Swin-T", "cbnetv2.zoo.mask_rcnn_swin_t()", "76.0"),
    Published("Cascade Mask R-CNN, CB-Swin-T", "cbnetv2.zoo.cascade_mask_rcnn_swin_t()", "113.8"),
    Published("Cascade Mask R-CNN, CB-Swin-S", "cbnetv2.zoo.cascade_mask_rcnn_swin_s()", "156.4"),
    Published("HTC, CB-Swin-B", 'cbnetv2.zoo.htc_swin_b("2fc")', "231"),
    Published("HTC, CB-Swin-B", 'cbnetv2.zoo.htc_swin_b("4conv1fc")', "234.8"),
    Published("HTC, CB-Swin-L", "cbnetv2.zoo.htc_swin_l()", "453.0"),
    Published("Mask R-CNN, ViT-Adapter-T", 'vit_adapter.zoo.mask_rcnn_deit("tiny")', "28.1"),
    Published("Mask R-CNN, ViT-Adapter-S", 'vit_adapter.zoo.mask_rcnn_deit("small")', "47.8"),
    Published("Mask R-CNN, ViT-Adapter-B", 'vit_adapter.zoo.mask_rcnn_deit("base")', "120.2"),
    Published("Mask R-CNN, ViT-Adapter-L", "vit_adapter.zoo.mask_rcnn_augreg_l()", "347.9"),
    Published("HTC++, ViT-Adapter-L, COCO", 'vit_adapter.zoo.htcpp_beitv2_l("3x")', "400.7"),
    Published("HTC++, ViT-Adapter-L, Objects365", 'vit_adapter.zoo.htcpp_beitv2_l("o365")', "400.7"),
)


def millions(module: nn.Module) -> float:
    """Return the number of parameters of a module, in millions."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def registered(name: str) -> tuple[float, float]:
    """Return millions of parameters of a network of the registry, and of its encoder alone."""
    # On torch's meta device tensors have shapes but no numbers: a network of 450 million parameters (1.8 GB)
    # takes no memory and is not initialised.
    with torch.device("meta"):
        network: Any = build({"network": name}).network
    return millions(network), millions(getattr(network, "encoder", None) or network.backbone)


def detector(published: Published) -> float:
    """Return millions of parameters of one of our packages' configurations."""
    from mmcv import ConfigDict
    from mmdet.models import build_detector

    with torch.device("meta"):
        return millions(build_detector(ConfigDict(published.config())))


def registry_table(found: Mapping[str, tuple[float, float]]) -> str:
    """Return the table of the registry: network -> what `registered` returns."""
    rows = []
    for name, (whole, encoder) in found.items():
        known = f"{ENCODERS[name]:.2f}" if name in ENCODERS else ""
        rows.append([f"`{name}`", f"{whole:.2f}", f"{encoder:.2f}", known])
    return table(["network, one class", "M parameters", "of these the encoder", "encoder, published"], rows)


def packages_table(found: Mapping[Published, float]) -> str:
    """Return the table of our packages: published configuration -> what `detector` returns."""
    rows = [[entry.name, f"`{entry.call}`", f"{ours:.2f}", entry.millions] for entry, ours in found.items()]
    return table(["detector, 80 classes", "configuration", "M parameters", "published"], rows, numbers_from=2)


def run(docs: Path | None) -> None:
    """Print both tables, and write them into a page, docs/models.md or a copy, if one is given."""
    of_registry = registry_table({name: registered(name) for name in names()})
    of_packages = packages_table({entry: detector(entry) for entry in PUBLISHED})
    for name, text in (("registry", of_registry), ("packages", of_packages)):
        print(text, end="\n\n")
        if docs is not None:
            write_block(docs, name, text)
