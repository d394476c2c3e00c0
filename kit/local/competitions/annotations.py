"""Regions drawn by people, whatever the file they are in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from kit.masks import rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation(ABC):
    """One region. What it is drawn with is not checked before `runs`.

    Attributes:
        number: in its file or line, from 1.
        type: as the file says; empty where it does not.
        crowd: it covers many instances that nobody parted.
    """

    number: int
    type: str
    crowd: bool = False

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Equal for annotations of one type with the same drawing."""

    @abstractmethod
    def runs(self, height: int, width: int, where: str) -> rle.Runs:
        """Its pixels.

        Args:
            height: rows of the image.
            width: columns of the image.
            where: file and annotation, for the error message.

        Raises:
            KitError: it cannot be drawn.
        """


def distinct(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Annotations in their order, those that repeat an earlier one left out."""
    seen: set[Hashable] = set()
    kept = []
    for annotation in annotations:
        if (key := annotation.key) not in seen:
            seen.add(key)
            kept.append(annotation)
    return kept
