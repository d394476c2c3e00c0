"""Published values that no program can compare with ours, each with the reason."""

from __future__ import annotations

import re

_CLASS = "fixed by the network's class: published checkpoints load into it by name and shape"
_COUNT = "follows from the images, which are known once data are prepared"
_ENSEMBLE = "belongs to the ensemble, not to a training (train_local/ensemble)"
_LOSS = "fixed in the loss itself (train_local/engine/losses.py, kit/local/training/cascade.py)"

_BACKBONE = (
    r"type|num_stages|out_indices|norm_cfg\..*|style|conv_cfg\..*|sac\..*|stage_with_sac|output_img|mlp_ratio"
    r"|qkv_bias|qk_scale|drop_rate|attn_drop_rate|ape|patch_norm|img_size|patch_size|use_abs_pos_emb"
    r"|use_rel_pos_bias|n_points|cffn_ratio|window_attn|pretrained|heads|patch|sr"
)
_NECK = r"(\d\.)?type|rfp_steps|aspp_dilations|num_outs|0\.(with_ffn|ffn_ratio)|1\.(norm_cfg\.type|num_outs)"

NOT_COMPARED: tuple[tuple[str, str], ...] = (
    (r"network\.detector", _CLASS),
    (rf"network\.(backbone|neck\.rfp_backbone)\.({_BACKBONE})", _CLASS),
    (rf"network\.neck\.({_NECK})", _CLASS),
    (r"network\.head\.(type|align_corners)", _CLASS),
    (
        r"network\.box_head",
        "names of one class: the pyramid of the kit's detectors gives the heads its own name",
    ),
    (r"init\.network", "describes the checkpoint; `kit.models convert` reports what of it is loaded"),
    (r"data\.annotations", "name of the authors' file; the sets in it are compared"),
    (r"data\.sets\[\d\]\.images|data\.images(_after_filter)?|data\.slides", _COUNT),
    (
        r"data\.split\.(rule|train_rows|valid_rows)",
        "in words; folds are tested tile by tile (train_local/data)",
    ),
    (
        r"data\.split\.folds\..*|data\.never_validated|data\.split\.never_validated",
        "tested in train_local/data",
    ),
    (r"data\.(sampling|sampling\..*)", "in words; `sampling` and `object_tiles` say the same to the kit"),
    (
        r"data\.tile\.(image_interpolation|reduce|skip|pad|tiles_of_a_3000_px_image)",
        "in words; tested in train_local/data",
    ),
    (r"data\.mask\.value", "in words: masks are 0 to 1 for the losses"),
    (r"input\.scale_rule", "in words; tested in train_local/data"),
    (r"input\.normalise\.of", "unit of mean and deviation, which are compared"),
    (
        r"augment.*\.effect(\..*)?",
        "follows from operation and arguments; tested by drawing (train_local/augment)",
    ),
    (
        r"augment.*\.defaults\.(each_p|channel_swap_p|modes|p)",
        "fixed in mmdet's class, which is the one used",
    ),
    (r"augment\.order", "in words: the order of the list, then scale and crop of the data"),
    (r"length\.(steps_per_epoch|epochs_equivalent)", _COUNT),
    (r"length\.early_stop\.effect", "in words; `patience` is compared"),
    (r"optimiser\.groups\[\d\]\.effect", "in words"),
    (r"loss\.(mask|class|dice)\.type|loss\.rpn\..*|loss\.assistant_weight", _LOSS),
    (r"loss\.(bce|auxiliary_bce)\.on|loss\.lovasz\.(per_image|classes)", _LOSS),
    (r"loss\.cross_entropy\.avg_non_ignore", _LOSS),
    (r"eval\.of", "in words"),
    (r"checkpoint\.saved", "the kit keeps the best and the last of every run"),
    (r"test\.(output|ensemble|postprocess|thresholds\..*|threshold)", _ENSEMBLE),
    (r"test\.kaggle\.(views|then|threshold)", _ENSEMBLE),
    (r"test\.local\..*", "the authors' own evaluation; predictions are made as on Kaggle"),
    (r"schedule\.lag", "in words"),
    (r"data\.masks", "in words"),
)
_COMPILED = tuple((re.compile(pattern), reason) for pattern, reason in NOT_COMPARED)


def reason_of(path: str) -> str | None:
    """Return why a published value cannot be compared, None if it can."""
    return next((reason for pattern, reason in _COMPILED if pattern.fullmatch(path)), None)
