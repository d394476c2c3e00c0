"""The plan of packages: which of the bundle's wheels an image needs for an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from kit.errors import KitError
from kit.manifest import Entry, Manifest
from submission.runtime.inputs.wheels import Choice, choose

if TYPE_CHECKING:
    from kit.ensemble import Ensemble  # the installer of wheels alone carries this module without it

ENGINE = ("torch", "torchvision", "numpy", "opencv-python-headless", "tifffile", "imagecodecs", "safetensors")
"""What the kit itself imports on Kaggle; networks may need more."""


@dataclass(frozen=True)
class Plan:
    """What the image needs; known before any file is read.

    A member is whatever needs distributions: a network of an ensemble, or one line of a requirements file.

    Attributes:
        choices: one per distribution, in the order in which they were reached.
        needs: for each member the distributions that it needs, directly or through others.
        errors: member -> why it cannot run in this image with this bundle.
        refused: distribution -> why it can be neither kept nor installed.
    """

    choices: list[Choice]
    needs: list[frozenset[str]]
    errors: dict[int, KitError]
    refused: dict[str, KitError] = field(default_factory=dict)

    @property
    def wheels(self) -> list[Entry]:
        """The wheels that have to be installed."""
        return [choice.entry for choice in self.choices if choice.entry is not None]

    @property
    def replaces(self) -> list[str]:
        """Distributions that the image has in another version; nothing may import them too early."""
        return [
            choice.name
            for choice in self.choices
            if choice.entry is not None and choice.installed is not None
        ]

    def lost_without(self, errors: Mapping[str, KitError]) -> dict[int, KitError]:
        """Return the members that cannot run.

        Args:
            errors: name of a distribution, or file of its wheel, -> what is wrong with it.
        """
        names = {choice.entry.file: choice.name for choice in self.choices if choice.entry is not None}
        broken = {names.get(key, key): error for key, error in errors.items()}
        lost = dict(self.errors)
        for index, needed in enumerate(self.needs):
            if bad := sorted(needed & broken.keys()):
                lost.setdefault(index, broken[bad[0]])
        return lost


def needed_by(ensemble: Ensemble) -> list[list[str]]:
    """Return for each member of an ensemble the distributions that it needs directly."""
    return [[*ENGINE, *member.requires] for member in ensemble.members]


def make_plan(
    needed: Sequence[Sequence[str]],
    manifests: Sequence[Manifest],
    distrusted: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """Decide what to install, from this interpreter's metadata and from what an import check showed.

    Args:
        needed: for each member the distributions that it needs directly.
        manifests: of the datasets.
        distrusted: distribution -> why the image's copy cannot be used.
    """
    choices: dict[str, Choice] = {}
    needs: list[frozenset[str]] = []
    errors: dict[int, KitError] = {}
    refused: dict[str, KitError] = {}
    for index, roots in enumerate(needed):
        chosen, failed = choose(manifests, roots, distrusted)
        choices.update({choice.name: choice for choice in chosen})
        needs.append(frozenset(choice.name for choice in chosen))
        refused |= failed
        if failed:
            errors[index] = next(iter(failed.values()))
    return Plan(list(choices.values()), needs, errors, refused)
