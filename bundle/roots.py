"""The distributions that code on Kaggle imports directly. Their metadata says what they need in turn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Root:
    """One distribution that our code imports.

    Attributes:
        name: normalised.
        exact: whether only the bundled version is accepted. Otherwise the image's copy stays if it meets what
            the other wheels ask for.
        why: who imports it, and why this version.
    """

    name: str
    exact: bool
    why: str


BASE_ROOTS = (
    Root("safetensors", exact=False, why="weights"),
    Root("tifffile", exact=False, why="reads slides"),
    Root("imagecodecs", exact=False, why="decompresses slides"),
    Root(
        "opencv-python-headless",
        exact=False,
        why="polygons, resizing; mmcv imports cv2 without asking for it",
    ),
)
"""What predict.py itself imports: every bundle has them."""

NETWORK_ROOTS = (
    Root("mmcv-full", exact=True, why="our portable build; mmdet and mmsegmentation import it"),
    Root("mmdet", exact=True, why="HTC and DetectoRS; configs and weights are of this version"),
    Root("mmsegmentation", exact=True, why="SegFormer; configs and weights are of this version"),
    Root("cbnetv2", exact=True, why="our CBNetV2; weights are of this version"),
    Root("vit-adapter", exact=True, why="our ViT-Adapter; weights are of this version"),
    Root("segmentation-models-pytorch", exact=True, why="names of weights change between releases"),
    Root("timm", exact=True, why="encoders; names of weights change between releases"),
    Root("scipy", exact=False, why="mmdet; vit-adapter"),
    Root("pycocotools", exact=False, why="mmdet"),
    Root("terminaltables", exact=False, why="mmdet"),
    Root("addict", exact=False, why="mmcv"),
    Root("yapf", exact=False, why="mmcv; its metadata says which versions"),
    Root("pyyaml", exact=False, why="mmcv, timm"),
    Root("packaging", exact=False, why="mmcv, mmsegmentation"),
    Root("pillow", exact=False, why="mmcv, segmentation-models-pytorch"),
)
"""What the kit's networks need: one bundle serves all of them, so another choice needs no new upload."""

ROOTS = (*NETWORK_ROOTS, *BASE_ROOTS)
