"""Whether the scratch disk has room for the results of passes, and what to do where it has not.

A probability map of a slide of 30000 x 30000 pixels takes 1.8 GB; twenty passes over one slide take 36 GB.
Rungs are nested, so every map is needed until the last rung is fused. Where all maps would fill more than
half of the free space, each image keeps one running weighted mean instead. This is possible only if all rungs
give the passes they share weights of the same ratios, as `ensemble` writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from kit.ensemble import Ensemble

GB = 1e9
USABLE = 0.9
"""Part of the free space that results may take: logs, rows and decoded strips need some of it, too."""
MEANS_ABOVE = 0.5
"""Part of the free space; ladders whose maps take more use running means."""
MEAN_BYTES = 2
"""Bytes per pixel of a running mean, which is a 16-bit map."""
_MAPS_IN_WORK = 3
"""Maps that an image in work may have beside its mean: one being written, one waiting, the next mean."""


class DiskSpace:
    """Compares the sizes of results with the free space.

    Args:
        ensemble: its passes leave the results.
        megapixels: of every image; images may be added later.
    """

    def __init__(self, ensemble: Ensemble, megapixels: Mapping[str, float]) -> None:
        self.ensemble, self.megapixels = ensemble, megapixels
        # A network of the kit has one class, and a config that does not say so.
        self._classes = len(ensemble.members[0].network.get("classes") or ".")

    def map_bytes(self, index: int, image: str) -> int:
        """Return the bytes that one pass over one image leaves; those of others than maps count as 0."""
        if self.ensemble.kind != "semantic":
            return 0
        member = self.ensemble.members[self.ensemble.passes[index].member]
        # Maps are stored with 16 bits unless the member says 8.
        deep = member.inference.get("stored", "uint16") == "uint16"
        return math.ceil(self.megapixels[image] * 1e6) * (2 if deep else 1) * self._classes

    def all_maps(self, images: Iterable[str]) -> int:
        """Return the bytes that all passes over some images leave."""
        return self._together(range(len(self.ensemble.passes)), list(images))

    def needs_running_means(self, images: Sequence[str], free: float) -> bool:
        """Whether images have to keep running means instead of maps, and can.

        Args:
            images: that will be predicted.
            free: bytes.
        """
        return (
            self.ensemble.kind == "semantic"
            and self._together(range(len(self.ensemble.passes)), images) > MEANS_ABOVE * free
            and weights_agree(self.ensemble)
        )

    def missing(
        self, passes: Sequence[int], images: Sequence[str], *, free: float, averaging: bool, workers: int
    ) -> str | None:
        """Say why results of passes cannot be kept until a later rung needs them; None where they can.

        Args:
            passes: that would be done.
            images: the passes go over these.
            free: bytes.
            averaging: each image keeps one running mean.
            workers: number of images in work at the same time.
        """
        needed = self._together(passes, images)
        if averaging:
            largest = max((math.ceil(self.megapixels[image] * 1e6) for image in images), default=0)
            # The first pass over an image is its first mean; the means of later passes replace it. Ten passes
            # over an image of 9 megapixels leave 180 MB of maps; as a running mean 18 MB and, with one
            # worker, 3 x 18 MB in work.
            first = self._together(passes[:1], images) if 0 in passes else 0
            needed = min(needed, first + _MAPS_IN_WORK * MEAN_BYTES * largest * workers * self._classes)
        usable = USABLE * free
        return None if needed <= usable else _shortage(needed, usable)

    def missing_now(
        self, index: int, image: str, *, free: float, running: Sequence[tuple[int, str]]
    ) -> str | None:
        """Say why one pass over one image cannot start now, None if it can.

        Args:
            index: of the pass.
            image: id of the image.
            free: bytes.
            running: passes and images whose results are being written.
        """
        own = self.map_bytes(index, image)
        needed = own + sum(self.map_bytes(*other) for other in running)
        usable = USABLE * free
        return None if own == 0 or needed <= usable else _shortage(needed, usable)

    def _together(self, passes: Sequence[int], images: Sequence[str]) -> int:
        return sum(self.map_bytes(index, image) for index in passes for image in images)


def weights_agree(ensemble: Ensemble) -> bool:
    """Whether the rungs of the main path give the passes they share weights of the same ratios."""
    # [1, 2] and [2, 4, 1] agree: 1 x 4 = 2 x 2. [1, 2] and [1, 1, 1] do not: 1 x 1 is not 2 x 1.
    return all(
        math.isclose(
            lower.weight(index) * upper.weight(lower.passes[0]),
            upper.weight(index) * lower.weight(lower.passes[0]),
        )
        for lower, upper in pairwise(ensemble.rungs[rung] for rung in ensemble.main_path)
        for index in lower.passes
    )


def _shortage(needed: float, usable: float) -> str:
    return f"needs {needed / GB:.3g} GB of scratch space, {usable / GB:.3g} GB can be used"
