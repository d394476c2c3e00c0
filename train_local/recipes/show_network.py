"""The parts of `show` that the network decides: size, losses, what a cascade matches and detects."""

from __future__ import annotations

from typing import Any

from kit.inference.instance_settings import InstanceSettings
from kit.local.training.cascade import train_config
from kit.models import htc
from kit.models.registry import sized
from kit.typed_json import to_plain
from train_local.recipes.base import Recipe


def network(recipe: Recipe) -> dict[str, Any]:
    """Return name and size, and what a cascade has behind its backbone."""
    size = sized(recipe.network.as_dict())[1]
    plain = to_plain(size)
    found = {
        "name": recipe.network.name,
        "drop_path": plain.get("drop_path"),
        "gradient_checkpointing": plain.get("checkpointing", False),
        "num_classes": 2 if recipe.network.spec.output == "sigmoid" else 1,
        "input_normalised_twice": False,
        "size": plain,
    }
    if not isinstance(size, htc.CascadeSize):
        return found
    model = htc.config(size, backbone={}, neck={})
    heads = model["roi_head"]
    frozen = plain.get("norm") == "frozen"
    return {
        **found,
        "box_head": heads["bbox_head"][0]["type"],
        "frozen_stages": 1 if frozen else None,
        "norm_eval": True if frozen else None,
        "rpn": model["rpn_head"]["anchor_generator"],
        "box_target_stds": [head["bbox_coder"]["target_stds"] for head in heads["bbox_head"]],
        "roi": {
            "box": heads["bbox_roi_extractor"]["roi_layer"]["output_size"],
            "mask": heads["mask_roi_extractor"]["roi_layer"]["output_size"],
            "sampling_ratio": heads["bbox_roi_extractor"]["roi_layer"]["sampling_ratio"],
        },
    }


def loss(recipe: Recipe) -> dict[str, Any]:
    """Return each loss with its weight."""
    size = sized(recipe.network.as_dict())[1]
    if not isinstance(size, htc.CascadeSize):
        found: dict[str, Any] = {name: {"weight": weight} for name, weight in recipe.losses.items()}
        if "cross_entropy" in found:
            found["cross_entropy"].update(ignore_index="ignored")
        return found
    # `kit.local.training.cascade` gives the normed box heads ten times the GIoU loss.
    giou = size.head == "4conv1fc"

    def weight(name: str) -> float:
        return recipe.losses.get(f"loss_{name}", 1.0)

    return {
        "mask": {"weight": weight("mask")},
        "box": {
            "type": "GIoULoss" if giou else "SmoothL1Loss",
            "beta": None if giou else 1,
            "weight": weight("bbox") * (10.0 if giou else 1.0),
        },
        "class": {"weight": weight("cls")},
        "stage_weights": htc.config(size, backbone={}, neck={})["roi_head"]["stage_loss_weights"],
    }


def matching(recipe: Recipe) -> dict[str, Any] | None:
    """Return which anchors and proposals a cascade's losses look at; None for a semantic network."""
    size = sized(recipe.network.as_dict())[1]
    if not isinstance(size, htc.CascadeSize):
        return None
    config = train_config(size)
    anchors, stages = config["rpn"], config["rcnn"]
    return {
        "rpn_samples": anchors["sampler"]["num"],
        "rpn_iou": [anchors["assigner"]["pos_iou_thr"], anchors["assigner"]["neg_iou_thr"]],
        "proposals": config["rpn_proposal"]["max_per_img"],
        "rcnn_samples": stages[0]["sampler"]["num"],
        "rcnn_pos": stages[0]["sampler"]["pos_fraction"],
        "rcnn_iou": [stage["assigner"]["pos_iou_thr"] for stage in stages],
        "mask_size": stages[0]["mask_size"],
    }


def detection(recipe: Recipe, inference: InstanceSettings) -> dict[str, Any]:
    """Return how a cascade turns its output into detections."""
    size = sized(recipe.network.as_dict())[1]
    assert isinstance(size, htc.CascadeSize), "an instance network is a cascade"
    proposals = htc.config(size, backbone={}, neck={})["test_cfg"]["rpn"]
    return {
        "rpn": {
            "nms_pre": proposals["nms_pre"],
            "max": proposals["max_per_img"],
            "nms_iou": proposals["nms"]["iou_threshold"],
        },
        "rcnn": {
            "score_thr": inference.score_threshold,
            "nms": "nms",
            "nms_iou": inference.nms_iou,
            "max_per_img": inference.max_per_image,
            "mask_thr": inference.mask_threshold,
        },
    }
