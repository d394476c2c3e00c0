"""Regions that people drew, in a form common to all file formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from kit.local.competitions.remarks import Remarks
from kit.masks import rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(ABC):
    """One region. Its coordinates are checked only when `runs` draws it.

    Attributes:
        number: position in its file or line, from 1.
        type: what the file says it shows, e.g. "blood_vessel"; empty if it does not say.
        crowd: whether it covers many instances that nobody separated.
        label: what its file calls it, e.g. "feature 3 (id 1f0c)"; empty: "annotation" and its number.
    """

    number: int
    type: str
    crowd: bool = False
    label: str = ""

    @property
    def place(self) -> str:
        """Return what a message calls it."""
        return self.label or f"annotation {self.number}"

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Return a value that is equal for annotations of one type with the same coordinates."""

    @abstractmethod
    def runs(self, height: int, width: int, where: str, remarks: Remarks) -> rle.Runs:
        """Return its pixels.

        Args:
            height: rows of the image.
            width: columns of the image.
            where: file and annotation, for messages.
            remarks: get what is cut off or left out.

        Raises:
            KitError: the coordinates are invalid.
        """


def distinct(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return annotations in their order, without those that repeat an earlier one."""
    # Annotators saved some polygons twice. A detection finds one truth only, so as two instances they would
    # keep the recall of a perfect submission below 1.
    seen: set[Hashable] = set()
    kept = []
    for annotation in annotations:
        if (key := annotation.key) not in seen:
            seen.add(key)
            kept.append(annotation)
    return kept
