"""Checkpoints of backbones, from which the networks' own authors started.

A converted file fills the backbone only. Every other part keeps its own initialisation.
"""

from __future__ import annotations

from kit.local.pretrained.entry import Pretrained

_MIT = "https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer"
_REGNET = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-regnet"
_SWIN = "https://github.com/SwinTransformer/storage/releases/download/v1.0.0"
_BEIT = "https://conversationhub.blob.core.windows.net/beit-share-public"

_NVIDIA = "NVIDIA Source Code License for SegFormer: research or evaluation only"
_MICROSOFT = "MIT (Microsoft)"
_SIGNED = "copy the signed link from the unilm README and give it with --url"

_UNETS = ("unet", "unetplusplus")


def _mit(size: str, ending: str) -> Pretrained:
    # Three networks share the encoder b2: SegFormer and the two with other decoders.
    extra = ("segformer-b2-mixupsample", "segformer-b2-daformer") if size == "b2" else ()
    return Pretrained(
        name=f"mit_{size}",
        url=f"{_MIT}/mit_{size}_{ending}.pth",
        kind="mit",
        networks=(f"segformer-{size}", *extra),
        licence=_NVIDIA,
        note="ImageNet-1k",
    )


def _regnet(letter: str, file: str) -> Pretrained:
    # "regnety_016-54367f74.pth" becomes the entry "regnety_016" for unet-regnety16, unet-regnety16-scse,
    # unetplusplus-regnety16 and unetplusplus-regnety16-scse.
    encoder = "regnety16" if letter == "y" else "regnetx32"
    return Pretrained(
        name=file.partition("-")[0],
        url=f"{_REGNET}/{file}",
        kind="timm",
        networks=tuple(f"{unet}-{encoder}{scse}" for unet in _UNETS for scse in ("", "-scse")),
        licence="MIT (Facebook, pycls); repackaged in timm, Apache-2.0",
        note="ImageNet-1k; the file that segmentation_models_pytorch used for timm-regnet encoders",
    )


ENTRIES = (
    Pretrained(
        name="timm",
        url="",
        kind="timm",
        networks=tuple(
            f"{unet}-{encoder}{scse}"
            for unet in _UNETS
            for encoder in ("regnety16", "regnetx32")
            for scse in ("", "-scse")
        ),
        licence="as timm's model card of the encoder says",
        note="timm fetches and caches its default weights of the encoder; fetch and convert are not needed",
    ),
    _regnet("y", "regnety_016-54367f74.pth"),
    _regnet("x", "regnetx_032-ed0c7f7e.pth"),
    _mit("b0", "20220624-7e0fe6dd"),
    _mit("b1", "20220624-02e5a6a1"),
    _mit("b2", "20220624-66e8bf70"),
    _mit("b3", "20220624-13b1141c"),
    _mit("b4", "20220624-d588d980"),
    _mit("b5", "20220624-658746d9"),
    Pretrained(
        name="swin_base_patch4_window7_224_22k",
        url=f"{_SWIN}/swin_base_patch4_window7_224_22k.pth",
        kind="swin",
        networks=("cbnetv2-swin-b",),
        licence=_MICROSOFT,
        note="ImageNet-22k; it fills both backbones",
    ),
    Pretrained(
        name="beitv2_large_patch16_224_pt1k_ft21k",
        url=f"{_BEIT}/beitv2/beitv2_large_patch16_224_pt1k_ft21k.pth",
        kind="vit",
        networks=("vit-adapter-l", "vit-adapter-l-3x"),
        licence=_MICROSOFT,
        note=f"ImageNet-1k, then 21k; {_SIGNED}",
        signed=True,
    ),
    Pretrained(
        name="beit_large_patch16_224_pt22k_ft22k",
        url=f"{_BEIT}/beit/beit_large_patch16_224_pt22k_ft22k.pth",
        kind="vit",
        networks=("vit-adapter-l", "vit-adapter-l-3x"),
        licence=_MICROSOFT,
        note=f"ImageNet-22k; {_SIGNED}",
        signed=True,
    ),
    Pretrained(
        name="resnet50",
        url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
        kind="resnet",
        networks=("detectors-r50",),
        licence="BSD-3-Clause (torchvision)",
        note="ImageNet-1k; it fills both passes of the recursive pyramid",
    ),
    Pretrained(
        name="resnext101_32x4d",
        url="https://download.openmmlab.com/pretrain/third_party/resnext101_32x4d-a5af3160.pth",
        kind="resnet",
        networks=("detectors-x101",),
        licence="Apache-2.0 (OpenMMLab)",
        note="ImageNet-1k; it fills both passes of the recursive pyramid",
    ),
)
"""Checkpoints of other ViT sizes are left out, because no registered network has these sizes."""
