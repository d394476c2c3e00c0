"""A recipe spelt out: every value that decides its training, as plain JSON.

The paths are those of the published values (`train_local.recipes.published`), so that the two can be
compared leaf by leaf. Learning rates are absolute, nothing that is None is left out, and arguments of
augmentations that a recipe does not give stand here with their library's defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kit import competitions
from kit.inference import views as view_names
from kit.inference.instance_settings import InstanceSettings
from kit.inference.semantic_settings import SemanticSettings
from kit.local.pretrained import registry as checkpoints
from kit.typed_json import to_plain
from train_local.recipes import show_augmentation, show_network
from train_local.recipes.base import Recipe
from train_local.recipes.settings import ImageSet

SCHEMA = "train_local.show/1"
_SPLITS = {
    "vasculature": ("stratified", 42),
    "kidney": ("fixed pairs of slides", None),
    "body": ("shares of each organ", 2021),
}
"""Competition -> rule and seed of its published folds (`train_local.data`)."""
_DTYPES = {"32-true": "fp32", "16-mixed": "fp16", "bf16-mixed": "bf16"}


def shown(recipe: Recipe) -> dict[str, Any]:
    """Return everything that a recipe says, as plain JSON.

    Args:
        recipe: any form and variant.
    """
    return {
        "schema": SCHEMA,
        "recipe": published_name(recipe),
        "stage": recipe.stage,
        "variant": recipe.variant,
        "network": show_network.network(recipe),
        "init": _init(recipe),
        "data": _data(recipe),
        "input": _input(recipe),
        "augment": show_augmentation.augmentation(recipe),
        "batch": {
            "per_gpu": recipe.batch_size,
            "gpus": recipe.gpus,
            "accumulate": recipe.accumulate,
            "total": recipe.step_examples,
            "sync_bn": recipe.sync_bn,
        },
        "length": _length(recipe),
        "optimiser": _optimiser(recipe),
        "schedule": _schedule(recipe),
        "loss": show_network.loss(recipe),
        "precision": {"dtype": _DTYPES[recipe.precision], "loss_scale_init": recipe.loss_scale},
        "ema": _ema(recipe),
        "grad_clip": {"max_norm": recipe.grad_clip, "norm_type": 2} if recipe.grad_clip else None,
        "eval": _eval(recipe),
        "checkpoint": {"used_next": recipe.hand_over},
        "seed": recipe.seed,
        "test": _test(recipe),
        "train_cfg": show_network.matching(recipe),
        "deviations": [to_plain(item) for item in recipe.deviations],
    }


def published_name(recipe: Recipe) -> str:
    """Return the name without stage and variant: "detectors-r50" of "detectors-r50-stage1-text"."""
    name = recipe.name.removesuffix("-tiny").removesuffix(f"-{recipe.variant}")
    return name.removesuffix(f"-stage{recipe.stage}")


def _init(recipe: Recipe) -> dict[str, Any]:
    stage = recipe.earlier_stage
    found = dict.fromkeys(("kind", "file", "url", "from_recipe", "from_checkpoint"))
    if stage is not None:
        source = f"{published_name(stage)}/s{stage.stage}"
        return {
            **found,
            "kind": "stage",
            "from_recipe": source,
            "from_checkpoint": recipe.earlier_checkpoint,
        }
    if recipe.pretrained is None:
        return {**found, "kind": "random"}
    entry = checkpoints.get(recipe.pretrained)
    kind = {"detector": "coco", "detector-v1": "coco", "segmentor": "cityscapes"}
    file = entry.file.removesuffix(".zip")
    return {**found, "kind": kind.get(entry.kind, "imagenet encoder"), "file": file, "url": entry.url}


def _data(recipe: Recipe) -> dict[str, Any]:
    data = recipe.data
    rounds = [part.labels for part in data.sets if part.labels is not None]
    everything = bool(data.sets) and all(part.part == "all" for part in data.sets)
    # The vasculature's published folds count from 1, the others' from 0.
    first = 1 if recipe.competition == "vasculature" else 0
    rule, seed = _SPLITS.get(recipe.competition, ("group", None))
    return {
        "sets": _sets(recipe),
        "split": {
            "rule": "all images" if everything else rule,
            "folds": recipe.fold_count,
            "fold": None if everything or len(recipe.folds) > 1 else recipe.folds[0] + first,
            "seed": seed,
        },
        "validation": _validation_images(recipe, first),
        "filter_empty": data.filter_empty,
        "drop_last": data.drop_last,
        "tile": {
            "read_px": data.tile,
            "size": None if data.tile is None else round(data.tile * data.scale),
            "scale": data.scale,
            "offsets": [[offset, offset] for offset in data.offsets],
            "drop_std_at_most": data.least_std,
            "border": "black" if data.sampling == "balanced" else "mirrored",
        },
        "image_side": data.image_side,
        "sampling": {
            "kind": data.sampling,
            "object_tiles": data.object_tiles,
            "examples_per_image": data.examples_per_image,
        },
        "pseudo": to_plain(rounds[0]) | {"source": _source(recipe)} if rounds else None,
    }


def _sets(recipe: Recipe) -> list[Any]:
    data = recipe.data
    if recipe.competition == "body":
        return [{"dir": name} for name in ("images", *data.stains)]
    if recipe.competition == "kidney":
        return ["object tiles of the fold's training slides", "grid tiles of the same slides"]
    return [_set_text(part) for part in data.sets]


def _set_text(part: ImageSet) -> str:
    if part.labels is not None:
        return f"dataset {part.dataset} pseudo, threshold {part.labels.threshold:g}, {part.labels.name}"
    return f"dataset {part.dataset}" + (f", WSI {_range(part.wsis)}" if part.wsis else "")


def _range(wsis: Sequence[str]) -> str:
    """Slides as the published values write them: "1-4" of four and more, else "3+4"."""
    return f"{wsis[0]}-{wsis[-1]}" if len(wsis) > 2 else "+".join(wsis)


def _source(recipe: Recipe) -> str:
    labels = next(part.labels for part in recipe.data.sets if part.labels is not None)
    tiles = f"dataset {labels.dataset} tiles of WSI {_range(labels.wsis or ())}"
    return f"{tiles}, pseudo labels generation {labels.name}, fused score > {labels.threshold:g}"


def _validation_images(recipe: Recipe, first: int) -> str | None:
    """What is held out. Only dataset 1 of the vasculature has folds."""
    data = recipe.data
    if recipe.competition != "vasculature":
        return None if any(part.part == "all" for part in data.sets) else "whole held-out images"
    if any(part.dataset in (1, None) and part.part == "all" for part in data.sets):
        return None
    return f"dataset 1, fold {recipe.folds[0] + first}"


def _input(recipe: Recipe) -> dict[str, Any]:
    data, spec = recipe.data, recipe.network.spec
    crop = data.crop and [data.crop, data.crop]
    if recipe.kind == "instance":
        assert isinstance(recipe.inference, InstanceSettings)
        size: list[int] | None = [round(data.scale * 512)] * 2
    elif data.tile is not None:
        size = [round(data.tile * data.scale)] * 2
    else:
        size = None
    resized = show_augmentation.output_side(recipe)
    return {
        "size": [resized, resized] if resized else size,
        "crop": [resized, resized] if resized else crop,
        "scale_range": data.scale_range and list(data.scale_range),
        "crop_cat_max_ratio": data.crop_cat_max_ratio,
        "keep_ratio": data.scale_range is None,
        "pad_multiple": spec.size_divisor,
        "pad": {"to": crop, "image": _fill(recipe), "mask": "ignored"},
        "normalise": {"mean": list(spec.mean), "std": list(spec.std), "order": "RGB"},
    }


def _fill(recipe: Recipe) -> float | list[float]:
    """The colour beyond an image as the network sees it, normalised: 0 is the mean colour."""
    spec = recipe.network.spec
    # Colours are whole numbers: 124 for a mean of 123.675 is 0.006 of a deviation of 58.395 away.
    seen = [
        round((value - mean) / deviation, 1) + 0.0
        for value, mean, deviation in zip(recipe.data.fill, spec.mean, spec.std, strict=True)
    ]
    return seen[0] if len(set(seen)) == 1 else seen


def _length(recipe: Recipe) -> dict[str, Any]:
    unit = "iteration" if recipe.epochs is None else "epoch"
    patience = recipe.validation.patience
    stop = None if patience is None else {"on": competitions.get(recipe.competition).metric}
    return {
        "unit": unit,
        "n": recipe.iterations if recipe.epochs is None else recipe.epochs,
        "steps_per_epoch": None,  # as many as the prepared images make
        "early_stop": stop and {**stop, "patience": patience},
    }


def _optimiser(recipe: Recipe) -> dict[str, Any]:
    optimiser = recipe.optimiser
    sgd = optimiser.name == "sgd"
    return {
        "name": optimiser.name,
        "lr": optimiser.lr,
        "momentum": optimiser.momentum if sgd else None,
        "nesterov": False if sgd else None,
        "betas": None if sgd else list(optimiser.betas),
        "amsgrad": optimiser.amsgrad,
        "weight_decay": optimiser.weight_decay,
        "groups": [{**to_plain(group), "lr": optimiser.lr * group.lr_mult} for group in optimiser.groups],
        "layer_decay": optimiser.layer_decay,
    }


def _schedule(recipe: Recipe) -> dict[str, Any]:
    schedule, peak = recipe.schedule, recipe.optimiser.lr
    value = to_plain(schedule)
    if schedule.policy == "two-cosines" and schedule.warmup is not None:
        start, share = schedule.warmup.start_factor * peak, schedule.warmup.share
        value["points"] = {"start": start, "peak": peak, "end": schedule.min_lr, "up_share": share}
    return {**value, "lag": None}


def _ema(recipe: Recipe) -> dict[str, Any] | None:
    return None if recipe.ema is None else {**to_plain(recipe.ema), "buffers": True, "every": "step"}


def _eval(recipe: Recipe) -> dict[str, Any]:
    inference = recipe.inference
    return {
        "every": recipe.validation.every,
        "unit": recipe.validation.unit,
        "metric": competitions.get(recipe.competition).metric,
        "views": list(recipe.validation.views),
        "size": None if inference.size is None else [inference.size, inference.size],
        "of": "raw weights and mean" if recipe.ema and recipe.ema.keep == "better" else "saved weights",
    }


def _test(recipe: Recipe) -> dict[str, Any]:
    parts = [view_names.get(part) for name in recipe.views for part in name.split("+")]
    scales = sorted({part.scale for part in parts})
    symmetries = list(dict.fromkeys(part.name.partition("@")[0] for part in parts))
    inference = recipe.inference
    found: dict[str, Any] = {"views": symmetries, "ratios": scales}
    if isinstance(inference, SemanticSettings):
        found["mode"] = "whole" if inference.size is not None else "window"
        found["size"] = None if inference.size is None else [inference.size, inference.size]
        found["keep_ratio"] = True
        if inference.core is not None and inference.context is not None and inference.scale is not None:
            window = inference.core + 2 * inference.context
            found["window"] = {
                "window": window,
                "core": inference.core,
                "context": inference.context,
                "scale": inference.scale,
                "input": round(window * inference.scale),
                "batch": inference.batch_size,
            }
        return found
    return {
        **found,
        "sizes": sorted({round(inference.size * scale) for scale in scales}, reverse=True),
        "score_thr": inference.score_threshold,
        "nms_iou": inference.nms_iou,
        **show_network.detection(recipe, inference),
    }
