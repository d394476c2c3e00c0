"""ViT-Adapter for mmdet 2.28: importing the package registers its classes."""

from .backbones import BEiTAdapter, UniPerceiverAdapter, ViTAdapter, ViTBaseline
from .necks import ChannelMapperWithPooling, ExtraAttention

__all__ = [
    "BEiTAdapter",
    "ChannelMapperWithPooling",
    "ExtraAttention",
    "UniPerceiverAdapter",
    "ViTAdapter",
    "ViTBaseline",
]
