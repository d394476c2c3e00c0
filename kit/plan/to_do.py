"""The passes that images still have to be started on."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator


class ToDo:
    """Images by pass.

    Args:
        passes: number of passes.
    """

    def __init__(self, passes: int) -> None:
        self._by_size: list[tuple[float, str]] = []
        self._images: list[set[str]] = [set() for _ in range(passes)]

    def add(self, image: str, megapixels: float) -> None:
        """Add an image that needs no pass yet."""
        insort(self._by_size, (-megapixels, image))

    def largest_first(self) -> list[str]:
        """Return all images, largest first."""
        return [image for _, image in self._by_size]

    def set_passes(self, image: str, passes: set[int]) -> None:
        """Set the passes that an image needs now."""
        for index, images in enumerate(self._images):
            if index in passes:
                images.add(image)
            else:
                images.discard(image)

    def start(self, index: int, image: str) -> None:
        """Note that a pass over an image was started."""
        self._images[index].discard(image)

    def images(self, index: int) -> Iterator[str]:
        """Yield the images that need a pass, largest first."""
        if images := self._images[index]:
            yield from (image for _, image in self._by_size if image in images)

    def smallest(self, index: int) -> str | None:
        """Return the smallest image that needs a pass."""
        images = self._images[index]
        return (
            next((image for _, image in reversed(self._by_size) if image in images), None) if images else None
        )

    def has(self, index: int, image: str) -> bool:
        """Whether an image needs a pass."""
        return image in self._images[index]

    def any(self, index: int) -> bool:
        """Whether any image needs a pass."""
        return bool(self._images[index])

    def passes(self, image: str) -> Iterator[int]:
        """Yield the passes that an image needs, in their order."""
        yield from (index for index, images in enumerate(self._images) if image in images)
