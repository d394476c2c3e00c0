"""How a published value is compared with ours where the two are not simply at the same path.

A rule is a pattern of paths and a function that brings both sides into one form: it takes the published value
and `show`'s object, and returns the two values to compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from kit.models.mit import HEADS
from train_local.recipes.comparison_augment import flat_operations
from train_local.recipes.paths import at

Shown = Mapping[str, Any]
Rule = Callable[[Any, Shown], tuple[Any, Any]]


def comparable(path: str, value: Any, shown: Shown) -> tuple[Any, Any] | None:
    """Return the published value and ours in one form, or None where they stand at the same path.

    Args:
        path: of the published value.
        value: it.
        shown: what `show` says of the recipe.
    """
    for pattern, rule in _RULES:
        if pattern.fullmatch(path):
            return rule(value, shown)
    for pattern, place in _PLACES:
        if pattern.fullmatch(path):
            return value, at(shown, pattern.sub(place, path))
    return None


def patterns() -> list[re.Pattern[str]]:
    """Return the patterns of all rules."""
    return [pattern for pattern, _ in (*_RULES, *_PLACES)]


def _checkpoint(value: str, shown: Shown) -> tuple[Any, Any]:
    """Which word comes first: "best_segm_mAP_epoch_8.pth", "detectors_epoch_10.pth (last)"."""
    return _best_or_last(value), at(shown, "init.from_checkpoint")


def _used_next(value: str, shown: Shown) -> tuple[Any, Any]:
    return _best_or_last(value), at(shown, "checkpoint.used_next")


def _best_or_last(text: str) -> str | None:
    found = re.search(r"best|last", text)
    return found[0] if found else None


def _sets(value: Any, shown: Shown) -> tuple[Any, Any]:
    """Without the number of tiles: "dataset 2, WSI 1-4 (1211 tiles)"; "all images, tiled" for the b2."""
    if isinstance(value, str):
        return value.endswith(", tiled"), at(shown, "data.tile.read_px") is not None
    return [re.sub(r" \(\d+ tiles\)$", "", item) for item in value], at(shown, "data.sets")


def _folder(value: str, shown: Shown) -> tuple[Any, Any]:
    """The order of folders means nothing."""
    folders = [item["dir"] for item in at(shown, "data.sets")]
    return value, value if value in folders else folders


def _all_images(value: str, shown: Shown) -> tuple[Any, Any]:
    everything = "all tiles of the sets" in value or "all 351 HPA images" in value
    return everything, at(shown, "data.split.rule") == "all images"


def _validation(value: str, shown: Shown) -> tuple[Any, Any]:
    """Fold 5 of dataset 1 is "ds1_coco_1024_valid_all_fold5.json"."""
    ours = at(shown, "data.validation")
    found = re.fullmatch(r"ds(\d+)_coco_1024_valid_(?:all_)?fold(\d)\.json", value)
    if found is None:
        return value, ours
    sets = "+".join(found[1])
    return f"dataset{'s' * (len(sets) > 1)} {sets}, fold {found[2]}", ours


def _normalise(key: str) -> Rule:
    """Published in 0..255, or in 0..1 (`of` is 1 then)."""

    def rule(value: list[float], shown: Shown) -> tuple[Any, Any]:
        scale = 255 if max(value) < 1 else 1
        return [item * scale for item in value], at(shown, f"input.normalise.{key}")

    return rule


def _address(value: str, shown: Shown) -> tuple[Any, Any]:
    """The published address may lack its scheme, its last part, or be told as that of a copy."""
    ours = re.sub(r"^https?://(www\.)?", "", str(at(shown, "init.url")))
    plain = re.sub(r"^https?://(www\.)?", "", value.rpartition(" copy of ")[2])
    return (ours if ours.startswith(plain.partition(" (same name")[0]) else value), ours


def _match(value: str, shown: Shown) -> tuple[Any, Any]:
    words = {"norm (not in the head)": "norm", "1-D parameters and *.bias": "1-D"}
    wanted = words.get(value, value)
    matches = [group["match"] for group in at(shown, "optimiser.groups")]
    return wanted, wanted if wanted in matches else matches


_POLICIES = {"cosine warm restarts": "restarts", "cosine up, cosine down": "two-cosines"}


def _policy(value: str, shown: Shown) -> tuple[Any, Any]:
    return _POLICIES.get(value, value), at(shown, "schedule.policy")


def _tile(value: int, shown: Shown) -> tuple[Any, Any]:
    """The kidney's tiles are stored at training resolution, those of the b2 at full resolution."""
    full = at(shown, "data.sampling.kind") == "balanced"
    return value, at(shown, "data.tile.read_px" if full else "data.tile.size")


def _ignored(place: str) -> Rule:
    """The published masks mark pixels without a loss with 255, those of the kit with -1 (`image_crops`)."""
    return lambda value, shown: ("ignored" if value == 255 else value, at(shown, place))


def _scale(place: str) -> Rule:
    return lambda value, shown: (float(Fraction(value)), at(shown, place))


def _loss_weights(value: Any, shown: Shown) -> tuple[Any, Any]:
    losses = {name: item["weight"] for name, item in shown["loss"].items() if isinstance(item, dict)}
    return value, losses


def _no_steps(value: Any, shown: Shown) -> tuple[Any, Any]:
    """A warm-up whose length is a share has no steps."""
    return value, at(shown, "schedule.warmup.steps") or None


def _multiplied(value: Any, shown: Shown) -> tuple[Any, Any]:
    """None where the policy is a warm-up of its own."""
    return bool(value), bool(at(shown, "schedule.warmup.multiplies_policy"))


def _unet(value: str, shown: Shown) -> tuple[Any, Any]:
    return value, "UnetPlusPlus" if at(shown, "network.size.nested") else "Unet"


def _encoder(value: str, shown: Shown) -> tuple[Any, Any]:
    return value.replace("timm-", "tu-"), at(shown, "network.size.encoder")


def _windows(value: Any, shown: Shown) -> tuple[Any, Any]:
    """Every last block of an interaction has the large window."""
    size = shown["network"]["size"]
    each = size["depth"] // size["interactions"]
    return value, [
        size["global_window_size" if (block + 1) % each == 0 else "window_size"]
        for block in range(size["depth"])
    ]


def _interactions(value: Any, shown: Shown) -> tuple[Any, Any]:
    size = shown["network"]["size"]
    each = size["depth"] // size["interactions"]
    return value[1] - value[0] + 1, each


def _pyramid_inputs(value: Any, shown: Shown) -> tuple[Any, Any]:
    size = shown["network"]["size"]
    if "interactions" in size:
        return value, [size["embed_dim"]] * 4
    first = size["embed_dim"] if "embed_dim" in size else 4 * size["base_channels"]
    return value, [first * 2**stage for stage in range(4)]


def _dims(value: Any, shown: Shown) -> tuple[Any, Any]:
    return value, [shown["network"]["size"]["embed_dims"] * heads for heads in HEADS]


def _head_norm(value: str, shown: Shown) -> tuple[Any, Any]:
    size = shown["network"]["size"]
    return value, f"GroupNorm {size['norm_groups']}" if size["norm"] == "group" else size["norm"]


_RULES: tuple[tuple[re.Pattern[str], Rule], ...] = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"init\.from_checkpoint", _checkpoint),
        (r"checkpoint\.used_next", _used_next),
        (r"init\.url", _address),
        (r"data\.sets", _sets),
        (r"data\.sets\[\d\]\.dir", _folder),
        (r"data\.split", _all_images),
        (r"data\.validation", _validation),
        (r"data\.tile\.scale", _scale("data.tile.scale")),
        (r"data\.tile\.size", _tile),
        (r"input\.normalise\.mean", _normalise("mean")),
        (r"input\.normalise\.std", _normalise("std")),
        (r"input\.pad\.mask", _ignored("input.pad.mask")),
        (r"loss\.cross_entropy\.ignore_index", _ignored("loss.cross_entropy.ignore_index")),
        (r"optimiser\.groups\[\d\]\.match", _match),
        (r"schedule\.policy", _policy),
        (r"schedule\.warmup\.steps", _no_steps),
        (r"schedule\.warmup\.multiplies_policy", _multiplied),
        (r"loss\.weights", _loss_weights),
        (r"augment\.ops", lambda value, shown: (value, flat_operations(shown["augment"]))),
        (r"test\.kaggle\.scale", _scale("test.window.scale")),
        (r"network\.name", _unet),
        (r"network\.encoder", _encoder),
        (r"network\.head\.norm", _head_norm),
        (r"network\.backbone\.dims", _dims),
        (
            r"network\.backbone\.window_size",
            lambda value, shown: (
                _windows(value, shown)
                if isinstance(value, list)
                else (value, at(shown, "network.size.window_size"))
            ),
        ),
        (r"network\.backbone\.interaction_indexes\.\d", _interactions),
        (r"network\.neck(\.\d)?\.in_channels", _pyramid_inputs),
        (
            r"network\.neck\.aspp_out_channels",
            lambda value, shown: (value * 4, at(shown, "network.size.neck_channels")),
        ),
    )
)

_SIZES = r"depths?|embed_dims?|(?:deform_)?num_heads|groups|base_width|init_values|conv_inplane|deform_ratio"
"""Keys that a published backbone and the kit's size of a network have in common."""

_PLACES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), place)
    for pattern, place in (
        (r"init\.from", "init.from_recipe"),
        (r"data\.fold", "data.split.fold"),
        (r"data\.pseudo_threshold", "data.pseudo.threshold"),
        (r"schedule\.t0", "schedule.period"),
        (r"test\.sizes_in_config\[0\]", "input.size"),
        (r"test\.sizes_final", "test.sizes"),
        (r"test\.views_final", "test.views"),
        (r"test\.kaggle\.(core|context|input|batch)", r"test.window.\1"),
        (r"network\.rpn\.anchor_scales", "network.rpn.scales"),
        (r"network\.head\.(channels|dropout)", r"network.size.\1"),
        (r"network\.decoder_attention", "network.size.attention"),
        (r"network\.decoder_channels", "network.size.decoder_channels"),
        (
            rf"network\.(?:backbone|neck\.rfp_backbone)\.({_SIZES})",
            r"network.size.\1",
        ),
        (r"network\.(?:backbone|neck\.rfp_backbone)\.(frozen_stages|norm_eval)", r"network.\1"),
        (r"network\.backbone\.drop_path_rate", "network.size.drop_path"),
        (r"network\.(?:backbone\.(?:use_checkpoint|with_cp)|neck\.0\.with_cp)", "network.size.checkpointing"),
        (r"network\.neck\.0\.num_head", "network.size.neck_heads"),
        (r"network\.neck\.0\.drop_path", "network.size.neck_drop_path"),
        (r"network\.neck\.1\.norm_cfg\.num_groups", "network.size.norm_groups"),
        (r"network\.neck(?:\.1)?\.(?:out_channels|rfp_backbone\.rfp_inplanes)", "network.size.neck_channels"),
    )
)
