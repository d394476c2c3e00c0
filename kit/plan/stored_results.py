"""Book of the results that lie on the scratch disk: which exist, which are averaged, which can be deleted.

Only names of files are kept here; nothing in this module touches the disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RunningMean:
    """The running mean of some passes over one image.

    Attributes:
        passes: in the order they were added.
        file: the map; the mean of a single pass is that pass's own map.
    """

    passes: tuple[int, ...]
    file: str


class StoredResults:
    """Files by pass and image.

    Attributes:
        averaging: keep one running mean per image instead of all its maps.
        obsolete: files that nobody needs any more; whoever deletes them empties the list.
    """

    def __init__(self) -> None:
        self.averaging = False
        self.obsolete: list[str] = []
        self._files: defaultdict[str, dict[int, str]] = defaultdict(dict)
        self._done: defaultdict[str, int] = defaultdict(int)
        self._means: dict[str, RunningMean] = {}

    def add(self, index: int, image: str, file: str) -> None:
        """Note the result of a pass over an image."""
        self._files[image][index] = file
        # A bit for each pass: 320,000 pairs of pass and image in a set would take 30 MB.
        self._done[image] |= 1 << index

    def was_done(self, index: int, image: str) -> bool:
        """Whether a pass was done over an image, even if its file is gone."""
        return bool(self.done(image) >> index & 1)

    def done(self, image: str) -> int:
        """Return the passes that were done over an image as bits: 5 is passes 0 and 2."""
        return self._done.get(image, 0)

    def holds(self, image: str) -> set[int]:
        """Return the passes over an image whose result is there, as a file of its own or in the mean."""
        mean = self._means.get(image)
        return {*self._files[image], *(() if mean is None else mean.passes)}

    def files(self, passes: Sequence[int], image: str) -> list[str] | None:
        """Return the files that passes over an image are fused from, None if one is missing.

        Returns:
            One file per pass in their order; with running means the one file with exactly their mean.
        """
        if not self.averaging:
            here = self._files[image]
            return [here[index] for index in passes] if here.keys() >= set(passes) else None
        mean = self._mean(passes, image)
        return [mean.file] if mean is not None and set(mean.passes) == set(passes) else None

    def next_to_average(self, passes: Sequence[int], image: str) -> int | None:
        """Return the pass whose map has to be added to the image's mean now, None if there is none.

        Args:
            passes: of the rung that is worked on, in their order.
            image: id of the image.
        """
        # Maps are added in the order of the rung, in whatever order they arrive:
        #     m0 arrives     mean = m0, without a copy; passes (0,)
        #     m2 arrives     it waits, because pass 1 comes first
        #     m1 arrives     mean of m0, m1; passes (0, 1); m0 and m1 are obsolete
        #     then m2        mean of m0, m1, m2; passes (0, 1, 2)
        mean = self._mean(passes, image) if self.averaging else None
        if mean is None:
            return None
        # The mean may hold only passes of this rung. Then the first one that it lacks is added: with mean
        # (0, 1) and passes [0, 1, 4], because the member of 2 and 3 was dropped, that is pass 4. When this
        # member comes back, the mean is (0, 1, 4), and pass 2 is the next.
        if not set(mean.passes) < set(passes):
            return None
        wanted = next(index for index in passes if index not in mean.passes)
        return wanted if wanted in self._files[image] else None

    def mean_and_map(self, index: int, image: str) -> list[str]:
        """Return the file with the mean of an image and the file of the pass to be added to it."""
        return [self._means[image].file, self._files[image][index]]

    def averaged_passes(self, image: str) -> tuple[int, ...]:
        """Return the passes that the mean of an image holds, none where there is no mean."""
        mean = self._means.get(image)
        return () if mean is None else mean.passes

    def averaged(self, index: int, image: str, file: str) -> None:
        """Note that a pass was added to the mean of its image, which now is in another file."""
        # The old mean and the map are both in the new mean, which is complete on the disk by now.
        self.obsolete += self.mean_and_map(index, image)
        del self._files[image][index]
        self._means[image] = RunningMean((*self._means[image].passes, index), file)

    def keep(self, passes: Iterable[int], image: str) -> None:
        """Mark files of an image as obsolete, except those of the given passes.

        The mean becomes obsolete only if no pass is given.
        """
        kept = set(passes)
        here = self._files[image]
        self.obsolete += [here.pop(index) for index in sorted(here.keys() - kept)]
        if not kept and image in self._means:
            self.obsolete.append(self._means.pop(image).file)

    def _mean(self, passes: Sequence[int], image: str) -> RunningMean | None:
        # The first pass's own map becomes the mean; it is no longer a result of its own, so `keep` spares it.
        if image not in self._means and passes and passes[0] in self._files[image]:
            self._means[image] = RunningMean((passes[0],), self._files[image].pop(passes[0]))
        return self._means.get(image)
