"""The recipes' operations as mmdet's and albumentations' own Compose do them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import albumentations as A
import numpy as np
from numpy.typing import NDArray

from kit.errors import KitError
from kit.local.masks import boxes
from kit.models.openmmlab import quiet
from train_local.augment import ByOrgan, OneOf, Op
from train_local.augment import Sequence as Several
from train_local.augment.spec import AnyOperation

Peer = Callable[[int], object]
"""Makes one example, whose random numbers depend on the seed."""


def mmdet_peer(
    operations: Sequence[AnyOperation], image_HWC: NDArray[np.uint8], masks_NHW: NDArray[np.bool_]
) -> Peer:
    """Return what makes examples with mmdet's Compose, AutoAugment and Albu."""
    with quiet():
        from mmdet.core import BitmapMasks
        from mmdet.datasets.pipelines import Compose
    pipeline = Compose([_mmdet(group) for group in _groups(operations)])
    masks = masks_NHW.view(np.uint8)
    boxes_N4 = boxes.of_masks(masks).astype(np.float32)

    def example(seed: int) -> object:
        for step in pipeline.transforms:
            if hasattr(step, "aug"):
                step.aug.set_random_seed(seed)
        return pipeline(
            {
                "img": image_HWC[..., ::-1].copy(),
                "img_shape": image_HWC.shape,
                "img_fields": ["img"],
                "bbox_fields": ["gt_bboxes"],
                "mask_fields": ["gt_masks"],
                "gt_bboxes": boxes_N4.copy(),
                "gt_labels": np.zeros(len(masks), np.int64),
                "gt_masks": BitmapMasks(masks.copy(), *masks.shape[1:]),
            }
        )

    return example


def albumentations_peer(
    operations: Sequence[AnyOperation],
    organ: str | None,
    image_HWC: NDArray[np.uint8],
    mask_HW: NDArray[np.uint8],
) -> Peer:
    """Return what makes examples with albumentations' Compose."""
    pipeline = A.Compose(_transforms(of_organ(operations, organ)))

    def example(seed: int) -> object:
        pipeline.set_random_seed(seed)
        return pipeline(image=image_HWC, mask=mask_HW)

    return example


def of_organ(operations: Iterable[AnyOperation], organ: str | None) -> list[AnyOperation]:
    """Return all operations, those of one organ in place of `ByOrgan`."""
    found: list[AnyOperation] = []
    for operation in operations:
        found.extend(operation.organs[organ or ""] if isinstance(operation, ByOrgan) else [operation])
    return found


def _groups(operations: Sequence[AnyOperation]) -> list[list[AnyOperation]]:
    """Neighbours of albumentations together, since mmdet's Albu takes several; each other one alone."""
    groups: list[list[AnyOperation]] = []
    for operation in operations:
        if groups and _of_albumentations(operation) and _of_albumentations(groups[-1][-1]):
            groups[-1].append(operation)
        else:
            groups.append([operation])
    return groups


def _of_albumentations(operation: AnyOperation) -> bool:
    if isinstance(operation, OneOf):
        return all(_of_albumentations(one) for choice in operation.choices for one in choice)
    return isinstance(operation, Op) and operation.library == "albumentations"


def _mmdet(group: Sequence[AnyOperation]) -> dict[str, Any]:
    first = group[0]
    if _of_albumentations(first):
        return {
            "type": "Albu",
            "transforms": [_as_config(one) for one in group],
            "bbox_params": {
                "type": "BboxParams",
                "format": "pascal_voc",
                "label_fields": ["gt_labels"],
                "min_visibility": 0.0,
                "filter_lost_elements": True,
            },
            "skip_img_without_anno": True,
        }
    if isinstance(first, OneOf):
        policies = [[_mmdet([one]) for one in choice] for choice in first.choices]
        return {"type": "AutoAugment", "policies": policies}
    if not isinstance(first, Op):
        raise _no_peer(first)
    args = {name: _tuples(value) for name, value in first.args.items()}
    if first.op == "RandomFlip":
        return {"type": first.op, "flip_ratio": first.p, **args}
    if first.op in {"CutOut", "MinIoURandomCrop", "PhotoMetricDistortion"}:
        return {"type": first.op, **args}
    return {"type": first.op, "prob": first.p, **args}


def _as_config(operation: AnyOperation) -> dict[str, Any]:
    """An operation as Albu's configuration, which may name a class or a function instead of a text."""

    class Made:
        def __new__(cls) -> Any:
            return _transforms([operation])[0]

    return {"type": Made}


def _tuples(value: Any) -> Any:
    """JSON's lists as mmdet checks them: pairs of numbers are tuples."""
    if isinstance(value, list):
        items = [_tuples(item) for item in value]
        return tuple(items) if all(isinstance(item, int | float) for item in items) else items
    return value


def _transforms(operations: Iterable[AnyOperation]) -> list[Any]:
    """The operations of 2.0.8; for those that it lacks, the ones that come nearest and cost as much."""
    return [_transform(operation) for operation in operations]


def _transform(operation: AnyOperation) -> Any:
    if isinstance(operation, OneOf):
        weights = operation.weights or [1.0] * len(operation.choices)
        choices = [
            A.Sequential(_transforms(choice), p=weight)
            for choice, weight in zip(operation.choices, weights, strict=True)
        ]
        return A.OneOf(choices, p=operation.p)
    if isinstance(operation, Several):
        return A.Sequential(_transforms(operation.steps), p=operation.p)
    if not isinstance(operation, Op):
        raise _no_peer(operation)
    if operation.op in _NEAREST:
        made = _NEAREST[operation.op](operation.args)
    else:
        # Ours wraps an operation of 2.0.8; the peer gets one like it.
        done: Any = operation.made()
        wrapped = done.transform
        options = {name: getattr(wrapped, name) for name in wrapped.get_transform_init_args_names()}
        made = type(wrapped)(**{name: value for name, value in options.items() if name != "p"})
    made.p = operation.p
    return made


def _flips() -> Any:
    both = A.Sequential([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1)
    return A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), both])


def _square(side: int) -> dict[str, Any]:
    return {"hole_height_range": (side, side), "hole_width_range": (side, side)}


_NEAREST: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "AddGammaCorrection": lambda _: A.RandomGamma(gamma_limit=(25, 40)),
    "Crop": lambda args: A.Crop(**args),
    "Cutout": lambda args: A.CoarseDropout(
        num_holes_range=(args["num_holes"], args["num_holes"]), **_square(args["max_h_size"])
    ),
    "ElasticTransform": lambda args: A.ElasticTransform(
        alpha=args["alpha"], sigma=args["sigma"], noise_distribution="uniform", border_mode=4
    ),
    "Flip": lambda _: _flips(),
    "GaussianBlur": lambda args: A.GaussianBlur(blur_limit=tuple(args["blur_limit"])),
    "GridDropout": lambda args: A.GridDropout(
        ratio=args["ratio"], random_offset=True, fill=args["fill_value"]
    ),
    "RandomRotate90": lambda _: A.RandomRotate90(),
    "PiecewiseAffine": lambda _: A.ThinPlateSpline(num_control_points=4),
}


def _no_peer(operation: object) -> KitError:
    return KitError(
        f"{type(operation).__name__} has no counterpart in a library",
        fix="measure it alone, or add a counterpart to benchmarks/augmentation_peers.py",
    )
