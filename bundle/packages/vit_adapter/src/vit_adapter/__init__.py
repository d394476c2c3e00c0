"""ViT-Adapter for mmdet 2.28: importing the package registers its classes."""

from .backbones import BEiTAdapter, UniPerceiverAdapter, ViTAdapter, ViTBaseline
from .htc_aug import HybridTaskCascadeAug
from .layer_decay import LayerDecayOptimizerConstructor, layer_decay_groups
from .necks import ChannelMapperWithPooling, ExtraAttention
from .pretrained import LoadReport, load_pretrained

__all__ = [
    "BEiTAdapter",
    "ChannelMapperWithPooling",
    "ExtraAttention",
    "HybridTaskCascadeAug",
    "LayerDecayOptimizerConstructor",
    "LoadReport",
    "UniPerceiverAdapter",
    "ViTAdapter",
    "ViTBaseline",
    "layer_decay_groups",
    "load_pretrained",
]
