"""OpenMMLab's training as its users start it: `train_detector` and `train_segmentor`, on the CPU.

The examples come from our data sets, so that all ways see the same ones. From there on all is OpenMMLab's:
normalising, padding, data containers, collation, loader, parallel wrapper, runner, hooks and logger.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from kit.models.network_spec import IMAGENET_MEAN, IMAGENET_STD
from kit.models.openmmlab import quiet
from train_local.data.sampler import ByPosition


@dataclass(frozen=True)
class Settings:
    """What all ways have in common.

    Attributes:
        lr: learning rate of SGD.
        clip: largest norm of the gradient.
        batch: examples of a step.
        folder: for the runner's log.
    """

    lr: float
    clip: float
    batch: int
    folder: Path


class _InOrder(Dataset[Any]):
    """Our examples one after another, whatever index the loader asks for.

    Args:
        examples: take (step, item).
        steps: number of them.
        batch: examples of a step.
    """

    def __init__(self, examples: ByPosition, steps: int, batch: int) -> None:
        self._examples, self._steps, self._batch = examples, steps, batch
        self._number = 0
        self.flag = np.zeros(steps * batch, np.uint8)  # mmdet's sampler groups examples by it

    def __len__(self) -> int:
        return self._steps * self._batch

    def next(self) -> Any:
        """Return the next example."""
        # The loader's own order is random; with one process it asks in the order of the batches.
        position = divmod(self._number, self._batch)
        self._number += 1
        return self._examples[position]


class Instances(_InOrder):
    """Examples in the form of mmdet's pipeline."""

    def __init__(self, examples: ByPosition, steps: int, batch: int) -> None:
        super().__init__(examples, steps, batch)
        with quiet():
            from mmdet.datasets.pipelines import Compose
        self._pipeline = Compose(
            [
                {"type": "Normalize", "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "to_rgb": False},
                {"type": "Pad", "size_divisor": 32},
                {"type": "DefaultFormatBundle"},
                {"type": "Collect", "keys": ["img", "gt_bboxes", "gt_labels", "gt_masks"]},
            ]
        )

    def __getitem__(self, _: int) -> Any:
        from mmdet.core import BitmapMasks

        x_CHW, target = self.next()
        image_HWC = x_CHW.numpy().transpose(1, 2, 0)
        height, width = image_HWC.shape[:2]
        boxes = target["boxes"].numpy()
        return self._pipeline(
            {
                "filename": "",
                "ori_filename": "",
                "img": image_HWC,
                "img_shape": image_HWC.shape,
                "ori_shape": image_HWC.shape,
                "scale_factor": np.ones(4, np.float32),
                "flip": False,
                "flip_direction": None,
                "img_fields": ["img"],
                "bbox_fields": ["gt_bboxes"],
                "mask_fields": ["gt_masks"],
                "gt_bboxes": boxes,
                "gt_labels": np.zeros(len(boxes), np.int64),
                "gt_masks": BitmapMasks(target["masks"].numpy().astype(np.uint8), height, width),
            }
        )


class Segments(_InOrder):
    """Examples for mmseg's loader."""

    def __getitem__(self, _: int) -> dict[str, Tensor]:
        x_CHW, mask_1HW = self.next()
        return {"img": x_CHW, "mask": mask_1HW}


class _Segmentor(nn.Module):
    """A network of ours as mmcv's runner trains it.

    Args:
        network: of ours.
        losses: (network, batch) -> terms.
    """

    def __init__(self, network: nn.Module, losses: Callable[[nn.Module, Any], dict[str, Tensor]]) -> None:
        super().__init__()
        self.network, self._losses = network, losses

    def train_step(self, batch: dict[str, Tensor], _optimiser: Any, **_: Any) -> dict[str, Any]:
        """Return the loss, and what the logger shows, as mmseg's own segmentors do."""
        terms = self._losses(self.network, (batch["img"], batch["mask"]))
        loss = torch.stack(list(terms.values())).sum()
        shown = {name: float(value) for name, value in {**terms, "loss": loss}.items()}
        return {"loss": loss, "log_vars": shown, "num_samples": len(batch["img"])}


def train_detector(network: Any, examples: Instances, settings: Settings) -> None:
    """Train as `mmdet.apis.train_detector` does.

    Args:
        network: of ours; mmdet trains the detector inside.
        examples: of one epoch.
        settings: of the training.
    """
    with quiet():
        from mmcv import Config
        from mmdet.apis import train_detector as train

    detector = network.network
    for head in (detector.rpn_head, *detector.roi_head.bbox_head):
        head._forward_hooks.clear()  # noqa: SLF001 - our own check for NaN is no part of mmdet
    runner = {"type": "EpochBasedRunner", "max_epochs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions, and of hooks that a CPU does not need
        train(detector, examples, Config(_config(settings, runner)), meta={})


def train_segmentor(
    network: nn.Module,
    losses: Callable[[nn.Module, Any], dict[str, Tensor]],
    examples: Segments,
    settings: Settings,
) -> None:
    """Train as `mmseg.apis.train_segmentor` does.

    Args:
        network: of ours.
        losses: (network, batch) -> terms.
        examples: of all steps.
        settings: of the training.
    """
    with quiet():
        from mmcv import Config
        from mmseg.apis import train_segmentor as train
        from mmseg.utils import get_root_logger

    # mmseg would take the config's log level for the name of a file; a logger that exists is left as it is.
    get_root_logger(log_level="ERROR")
    runner = {"type": "IterBasedRunner", "max_iters": len(examples) // settings.batch}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(_Segmentor(network, losses), examples, Config(_config(settings, runner)), meta={})


def _config(settings: Settings, runner: dict[str, Any]) -> dict[str, Any]:
    load = {"samples_per_gpu": settings.batch, "workers_per_gpu": 0, "persistent_workers": False}
    return {
        "data": {"train_dataloader": load, "val": {}, "test": {}},
        "optimizer": {"type": "SGD", "lr": settings.lr, "momentum": 0.9, "weight_decay": 1e-4},
        "optimizer_config": {"grad_clip": {"max_norm": settings.clip, "norm_type": 2}},
        "lr_config": {"policy": "fixed"},
        "runner": runner,
        "checkpoint_config": None,
        "log_config": {"interval": 10, "hooks": [{"type": "TextLoggerHook"}]},
        "log_level": "ERROR",
        "workflow": [("train", 1)],
        "work_dir": str(settings.folder),
        "device": "cpu",
        "gpu_ids": [0],
        "seed": 0,
        "resume_from": None,
        "load_from": None,
    }
