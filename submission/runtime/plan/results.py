"""The results of passes that lie on the scratch disk: which there are, folded into what, which can go.

Pure bookkeeping, as the schedule's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Mean:
    """The running mean of some passes over one image.

    Attributes:
        passes: in the order they were folded in.
        file: the map; of a single pass its own.
    """

    passes: tuple[int, ...]
    file: str


class Shelf:
    """Files by pass and image.

    Attributes:
        folds: keep one running mean an image instead of all its maps.
        obsolete: files nobody needs any more; whoever deletes them empties the list.
    """

    def __init__(self) -> None:
        self.folds = False
        self.obsolete: list[str] = []
        self._files: dict[tuple[int, str], str] = {}
        self._done: set[tuple[int, str]] = set()
        self._means: dict[str, Mean] = {}

    def put(self, index: int, image: str, file: str) -> None:
        """A pass left a result."""
        self._files[index, image] = file
        self._done.add((index, image))

    def was_done(self, index: int, image: str) -> bool:
        """Whether a pass has been over an image, wherever its result is now."""
        return (index, image) in self._done

    def files(self, passes: Sequence[int], image: str) -> list[str] | None:
        """What passes over an image are fused from: a file each, or their mean; None if it is not there."""
        if not self.folds:
            found = [self._files[index, image] for index in passes if (index, image) in self._files]
            return found if len(found) == len(passes) else None
        mean = self._mean(passes, image)
        return [mean.file] if mean is not None and mean.passes == tuple(passes) else None

    def next_fold(self, passes: Sequence[int], image: str) -> int | None:
        """The pass whose map comes next into the mean of an image; None where there is nothing to fold.

        Args:
            passes: of the rung that is worked on, in their order.
            image: which.
        """
        mean = self._mean(passes, image) if self.folds else None
        if (
            mean is None
            or tuple(passes[: len(mean.passes)]) != mean.passes
            or len(mean.passes) == len(passes)
        ):
            return None
        index = passes[len(mean.passes)]
        return index if (index, image) in self._files else None

    def parts(self, index: int, image: str) -> list[str]:
        """The mean of an image and the map that is to be folded into it."""
        return [self._means[image].file, self._files[index, image]]

    def mean_of(self, image: str) -> tuple[int, ...]:
        """Passes in the mean of an image."""
        return self._means[image].passes

    def folded(self, index: int, image: str, file: str) -> None:
        """A map was folded into the mean of its image, which now is another file."""
        self.obsolete += self.parts(index, image)
        del self._files[index, image]
        self._means[image] = Mean((*self._means[image].passes, index), file)

    def keep(self, passes: Iterable[int], image: str) -> None:
        """Let go of an image's files but those of some passes; of its mean where there are none."""
        kept = set(passes)
        for index, name in [key for key in self._files if key[1] == image and key[0] not in kept]:
            self.obsolete.append(self._files.pop((index, name)))
        if not kept and image in self._means:
            self.obsolete.append(self._means.pop(image).file)

    def _mean(self, passes: Sequence[int], image: str) -> Mean | None:
        """The mean of an image; the first pass's own map becomes it."""
        if image not in self._means and passes and (passes[0], image) in self._files:
            self._means[image] = Mean((passes[0],), self._files.pop((passes[0], image)))
        return self._means.get(image)
