"""A network of several classes as one of a single class: it runs once, and then tells class after class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kit.errors import KitError
from kit.models import Detections, InstanceNetwork, Network


@dataclass(frozen=True)
class _Kept:
    """What the network said of one input; of each mask only its rectangle, for most are small.

    Attributes:
        found: boxes, scores and labels, on the CPU; without masks.
        crops: of each mask its top, left and pixels.
        size: height and width of the input.
        device: of the network.
    """

    found: Detections
    crops: list[tuple[int, int, Tensor]]
    size: tuple[int, int]
    device: torch.device

    def of(self, number: int) -> Detections:
        """Return the detections of one class, with their masks."""
        assert self.found.labels is not None, "kept with labels"
        places = torch.nonzero(self.found.labels == number)[:, 0]
        masks = torch.zeros(len(places), *self.size, dtype=torch.bool, device=self.device)
        for mask_HW, place in zip(masks, places.tolist(), strict=True):
            top, left, pixels = self.crops[place]
            mask_HW[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels.to(self.device)
        boxes, scores = (item[places].to(self.device) for item in (self.found.boxes, self.found.scores))
        return Detections(boxes, scores, masks)


class ByClass(InstanceNetwork):
    """Answers with the detections of one class; inputs come in the same order for every class.

    Args:
        module: the network of several classes.
        where: member, view and image, for messages.
    """

    def __init__(self, module: Network, *, where: str) -> None:
        super().__init__(module.spec, torch.nn.Identity())
        if not isinstance(module, InstanceNetwork):
            raise KitError(
                f"{module.spec.name} declares detections but cannot detect",
                where=where,
                fix="correct its declaration",
            )
        self._module, self._where = [module], where  # in a list: not a submodule of this one
        self._kept: list[_Kept] = []
        self._number = self._next = 0

    def choose(self, number: int) -> None:
        """Begin again with the first input, now for this class."""
        self._number, self._next = number, 0

    def detect(self, x_NCHW: Tensor) -> list[Detections]:
        """Return the detections of the chosen class in one image."""
        if self._number == 0:
            [found] = self._module[0].detect(x_NCHW)
            self._kept.append(self._keep(found, x_NCHW))
        kept = self._kept[self._next]
        self._next += 1
        return [kept.of(self._number)]

    def _keep(self, found: Detections, x_NCHW: Tensor) -> _Kept:
        height, width = x_NCHW.shape[-2:]
        shape = tuple(found.masks.shape)
        labels = found.labels
        if labels is None and self.spec.classes == 1:
            labels = torch.zeros(len(found.scores), dtype=torch.int64)
        if labels is None or shape != (len(found.scores), height, width):
            raise KitError(
                f"the network returned {len(found.scores)} detections, masks of the shape {shape} and "
                f"{'no labels' if labels is None else 'labels'}",
                where=self._where,
                fix="it has to return a label and a bool mask of the input's size per detection",
            )
        outside = labels[(labels < 0) | (labels >= self.spec.classes)]
        if len(outside):
            raise KitError(
                f"the network returned the label {outside[0].item()} for {self.spec.classes} classes",
                where=self._where,
                fix="labels are indices of the classes, from 0; torchvision counts from 1",
            )
        crops = []
        for mask_HW in found.masks:
            rows, columns = (torch.nonzero(mask_HW.any(dim=axis))[:, 0] for axis in (1, 0))
            top, left = (int(side[0]) if len(side) else 0 for side in (rows, columns))
            bottom, right = (int(side[-1]) + 1 if len(side) else 0 for side in (rows, columns))
            crops.append((top, left, mask_HW[top:bottom, left:right].cpu()))
        kept = Detections(
            found.boxes.cpu(), found.scores.cpu(), torch.empty(0, dtype=torch.bool), labels.cpu()
        )
        return _Kept(kept, crops, (int(height), int(width)), x_NCHW.device)
