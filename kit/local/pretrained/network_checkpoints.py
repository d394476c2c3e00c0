"""Checkpoints of complete networks: detectors trained on COCO, segmentors trained on Cityscapes and ADE20K.

Addresses and hashes come from the model zoos of mmdet 2.28.2 and mmseg, and from the authors' READMEs.
"""

from __future__ import annotations

from kit.local.pretrained.entry import Kind, Pretrained

_MMDET = "https://download.openmmlab.com/mmdetection/v2.0"
_MMSEG = "https://download.openmmlab.com/mmsegmentation/v0.5/segformer"
_CBNET = "https://github.com/CBNetwork/storage/releases/download/v1.0.0"
_VIT_ADAPTER = "https://github.com/czczup/ViT-Adapter/releases/download"

_OPENMMLAB = "Apache-2.0 (OpenMMLab)"
_CBNET_TERMS = "unclear: LICENSE says Apache-2.0, README academic research only; do not redistribute"
_VIT_TERMS = "Apache-2.0 with the code; none stated for the weights"
_SEGFORMER_TERMS = "NVIDIA Source Code License for SegFormer: research or evaluation only"

_PART = "a part of DetectoRS only; the rest keeps its own initialisation"


def _mmdet(
    name: str, ending: str, network: str, note: str, *, family: str = "detectors", least: float | None = None
) -> Pretrained:
    return Pretrained(
        name=name,
        url=f"{_MMDET}/{family}/{name}/{name}{ending}.pth",
        kind="detector",
        networks=(network,),
        licence=_OPENMMLAB,
        note=note,
        least=least,
    )


def _segformer(name: str, ending: str, size: str, note: str = "") -> Pretrained:
    return Pretrained(
        name=name,
        url=f"{_MMSEG}/{name}/{name}_{ending}.pth",
        kind="segmentor",
        networks=(f"segformer-{size}",),
        licence=_SEGFORMER_TERMS,
        note=note,
    )


def _cbnet(name: str, layers: str, note: str) -> Pretrained:
    file = f"htc_cbv2_swin_base22k_patch4_window7_mstrain_400-1400_{layers}adamw_20e_coco.pth.zip"
    return Pretrained(
        name=name,
        url=f"{_CBNET}/{file}",
        kind="detector",
        networks=("cbnetv2-swin-b",),
        licence=_CBNET_TERMS,
        note=note,
    )


def _vit_adapter(release: str, file: str, network: str, note: str, kind: Kind = "detector") -> Pretrained:
    return Pretrained(
        name=file.partition(".")[0],
        url=f"{_VIT_ADAPTER}/{release}/{file}",
        kind=kind,
        networks=(network,),
        licence=_VIT_TERMS,
        note=note,
    )


# In the notes, "58.4 box / 50.7 mask AP" is the average precision on COCO that the authors publish. `least`
# is lower where a checkpoint has a part of the network only: htc_r50_rfp has to give 75 % of DetectoRS-R50.
ENTRIES = (
    _mmdet("detectors_htc_r50_1x_coco", "-329b1453", "detectors-r50", "the vasculature R50 starts from it"),
    Pretrained(
        name="detectors_htc_x101_32x4d_40e_coco",
        url="https://www.cs.jhu.edu/~syqiao/DetectoRS/DetectoRS_X101-ed983634.pth",
        kind="detector-v1",
        networks=("detectors-x101",),
        licence="Apache-2.0 with the code; none stated for the weights",
        note="the authors' file, with names of mmdet 1; the vasculature X101 starts from it",
    ),
    Pretrained(
        name="detectors_htc_r50_40e_coco",
        url="http://cs.jhu.edu/~syqiao/DetectoRS/DetectoRS_R50-0f1c8080.pth",
        kind="detector-v1",
        networks=("detectors-r50",),
        licence="Apache-2.0 with the code; none stated for the weights",
        note="the authors' longer training, with names of mmdet 1; the address has no https",
    ),
    _mmdet("htc_r50_rfp_1x_coco", "-8ff87c51", "detectors-r50", f"the pyramid: {_PART}", least=0.75),
    _mmdet("htc_r50_sac_1x_coco", "-bfa60c54", "detectors-r50", f"the convolutions: {_PART}", least=0.65),
    _mmdet(
        "htc_x101_32x4d_fpn_16x1_20e_coco",
        "_20200318-de97ae01",
        "detectors-x101",
        f"plain HTC: {_PART}",
        family="htc",
        least=0.45,
    ),
    _cbnet(
        "htc_cbv2_swin_base22k_giou_4conv1f_coco",
        "giou_4conv1f_",
        "58.4 box / 50.7 mask AP on COCO; the vasculature CBNetV2 starts from it",
    ),
    _cbnet(
        "htc_cbv2_swin_base22k_coco",
        "",
        "57.9 box / 50.2 mask AP on COCO; it has no convolutions for the box heads, which keep their own",
    ),
    _vit_adapter(
        "v0.3.1",
        "htc++_beitv2_adapter_large_fpn_o365_coco.pth",
        "vit-adapter-l",
        "61.8 box / 53.0 mask AP on COCO; both vasculature ViT-Adapters start from it; about 1.8 GiB",
    ),
    _vit_adapter(
        "v0.3.1",
        "htc++_beitv2_adapter_large_fpn_o365.pth",
        "vit-adapter-l",
        "trained on Objects365 only; its heads have 365 classes",
    ),
    _vit_adapter(
        "v0.3.1",
        "htc++_beitv2_adapter_large_fpn_3x_coco.pth",
        "vit-adapter-l-3x",
        "58.8 box / 51.1 mask AP on COCO",
    ),
    _vit_adapter(
        "0.3.0",
        "htc++_beit_adapter_large_fpn_3x_coco.pth.tar",
        "vit-adapter-l-3x",
        "BEiT; 58.4 box / 50.8 mask AP on COCO",
    ),
    _segformer(
        "segformer_mit-b4_8x1_1024x1024_160k_cityscapes",
        "20211207_080709-07f6c333",
        "b4",
        "the organ model b4_960_2 starts from it; GroupNorm replaces the BatchNorm of its head",
    ),
    _segformer(
        "segformer_mit-b5_8x1_1024x1024_160k_cityscapes",
        "20211206_072934-87a052ec",
        "b5",
        "the organ models b5_960 and b5_960_2 start from it; GroupNorm replaces the BatchNorm of its head",
    ),
    *(
        _segformer(f"segformer_mit-{size}_8x1_1024x1024_160k_cityscapes", ending, size)
        for size, ending in (
            ("b0", "20211208_101857-e7f88502"),
            ("b1", "20211208_064213-655c7b3f"),
            ("b2", "20211207_134205-6096669a"),
            ("b3", "20211206_224823-a8f8a177"),
        )
    ),
    _segformer("segformer_mit-b5_640x640_160k_ade20k", "20220617_203542-940a6bd8", "b5"),
)
"""The checkpoints that recipes start from, and the nearest alternatives."""
