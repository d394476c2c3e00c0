"""Whether the scratch disk holds what the ladder's passes leave, and what to do where it does not.

A probability map of a slide of 30000 x 30000 pixels takes 1.8 GB, a ladder of twenty passes over one slide
36 GB. Rungs are nested, so every map is needed until the last rung is fused. Where they would fill more than
half of the disk they are folded: after each pass an image keeps one running weighted mean instead of all its
maps. That takes rungs that agree on the ratios of the weights of passes they share, as `ensemble` makes them.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from kit.ensemble import Ensemble

GB = 1e9
USABLE = 0.9
"""Of what is free: logs, rows and decoded strips need some of it, too."""
FOLDED_ABOVE = 0.5
"""Of what is free: ladders that leave more are folded."""
MEAN_BYTES = 2
"""Of a pixel of a running mean, a 16-bit map."""
_FOLDING = 3
"""Maps beside its mean that an image in work may have: one written, one waiting, the next mean."""


class Space:
    """The maps' sizes against what is free.

    Args:
        ensemble: whose passes they are.
        megapixels: of every image.
        free: bytes that are free at the moment.
    """

    def __init__(self, ensemble: Ensemble, megapixels: Mapping[str, float], free: Callable[[], int]) -> None:
        self.ensemble, self.megapixels, self.free = ensemble, dict(megapixels), free

    def map_bytes(self, index: int, image: str) -> int:
        """What one pass leaves of one image; instances take next to nothing."""
        if self.ensemble.kind == "instance":
            return 0
        member = self.ensemble.members[self.ensemble.passes[index].member]
        deep = member.inference.get("stored", "uint16") == "uint16"
        return math.ceil(self.megapixels[image] * 1e6) * (2 if deep else 1)

    def folds(self, images: Sequence[str]) -> bool:
        """Whether maps have to be folded, and can be."""
        every = range(len(self.ensemble.passes))
        return (
            self.ensemble.kind == "semantic"
            and self._together(every, images) > FOLDED_ABOVE * self.free()
            and weights_agree(self.ensemble)
        )

    def missing(
        self, passes: Sequence[int], images: Sequence[str], *, folded: bool, workers: int
    ) -> str | None:
        """Why results of passes cannot be kept until a later rung needs them; None where they can.

        Args:
            passes: that would be done.
            images: over these.
            folded: into one running mean an image.
            workers: how many images are worked on at a time.
        """
        needed = self._together(passes, images)
        if folded:
            largest = max((math.ceil(self.megapixels[image] * 1e6) for image in images), default=0)
            # The first pass over an image is its first mean; those of later passes replace it.
            first = self._together(passes[:1], images) if 0 in passes else 0
            needed = min(needed, first + _FOLDING * MEAN_BYTES * largest * workers)
        usable = USABLE * self.free()
        return None if needed <= usable else _told(needed, usable)

    def crowded(self, index: int, image: str, running: Sequence[tuple[int, str]]) -> str | None:
        """Why one pass over one image cannot begin now, None if it can.

        Args:
            index: of the pass.
            image: of its image.
            running: passes that are being written.
        """
        own = self.map_bytes(index, image)
        needed = own + sum(self.map_bytes(*other) for other in running)
        usable = USABLE * self.free()
        return None if own == 0 or needed <= usable else _told(needed, usable)

    def _together(self, passes: Sequence[int], images: Sequence[str]) -> int:
        return sum(self.map_bytes(index, image) for index in passes for image in images)


def weights_agree(ensemble: Ensemble) -> bool:
    """Whether any two rungs weigh the passes they share in the same ratios."""
    return all(
        math.isclose(lower.weights[index] * upper.weights[0], upper.weights[index] * lower.weights[0])
        for lower, upper in pairwise(ensemble.rungs)
        for index in range(lower.passes)
    )


def free_bytes(folder: Path) -> Callable[[], int]:
    """How much can be written to a folder's disk, asked anew at every call."""
    return lambda: shutil.disk_usage(folder).free


def _told(needed: float, usable: float) -> str:
    return f"needs {needed / GB:.3g} GB of scratch space, {usable / GB:.3g} GB can be used"
