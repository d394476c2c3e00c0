"""The passes that images still have to be started on."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import islice


class ToDo:
    """Images by pass.

    Args:
        passes: number of passes.
    """

    def __init__(self, passes: int) -> None:
        self._by_size: list[tuple[float, str]] = []
        self._key: dict[str, tuple[float, str]] = {}
        self._images: list[set[str]] = [set() for _ in range(passes)]
        # Before these places of `_by_size` no image needs the pass: with 5000 images, each search for the
        # next one would else go through all that are done.
        self._first = [0] * passes

    def add(self, image: str, megapixels: float) -> None:
        """Add an image that needs no pass yet."""
        self._key[image] = (-megapixels, image)
        insort(self._by_size, self._key[image])
        self._first = [0] * len(self._first)

    def largest_first(self) -> list[str]:
        """Return all images, largest first."""
        return [image for _, image in self._by_size]

    def set_passes(self, image: str, passes: set[int]) -> None:
        """Set the passes that an image needs now."""
        place: int | None = None
        for index, images in enumerate(self._images):
            if index not in passes:
                images.discard(image)
            elif image not in images:
                images.add(image)
                place = bisect_left(self._by_size, self._key[image]) if place is None else place
                self._first[index] = min(self._first[index], place)

    def start(self, index: int, image: str) -> None:
        """Note that a pass over an image was started."""
        self._images[index].discard(image)

    def images(self, index: int) -> Iterator[str]:
        """Yield the images that need a pass, largest first."""
        if images := self._images[index]:
            first = self._first[index]
            while self._by_size[first][1] not in images:
                first += 1
            self._first[index] = first
            yield from (image for _, image in islice(self._by_size, first, None) if image in images)

    def smallest(self, index: int) -> str | None:
        """Return the smallest image that needs a pass."""
        images = self._images[index]
        return (
            next((image for _, image in reversed(self._by_size) if image in images), None) if images else None
        )

    def number(self, index: int) -> int:
        """Return how many images need a pass."""
        return len(self._images[index])

    def has(self, index: int, image: str) -> bool:
        """Whether an image needs a pass."""
        return image in self._images[index]

    def any(self, index: int) -> bool:
        """Whether any image needs a pass."""
        return bool(self._images[index])

    def passes(self, image: str) -> Iterator[int]:
        """Yield the passes that an image needs, in their order."""
        yield from (index for index, images in enumerate(self._images) if image in images)
