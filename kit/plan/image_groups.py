"""Images in groups: those of one group have the same results, rows and losses.

With 5000 images, a question about all of them would take milliseconds, and the supervisor asks several after
every task. In the middle of a pass they are two groups, those that have it and those that lack it, and one
image of each answers for its group.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator


class ImageGroups:
    """Groups of images."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, dict[str, None]] = {}
        self._of: dict[str, tuple[Hashable, dict[str, None]]] = {}

    def put(self, image: str, standing: Hashable | None) -> None:
        """Put an image into the group of those that have the same standing.

        Args:
            image: its id.
            standing: all that the answers about an image depend on, except what changes for all at once; None
                for an image that belongs to no group any more.
        """
        former = self._of.get(image)
        if former is not None and former[0] == standing:
            return
        self._remove(image)
        if standing is None:
            return
        group = self._groups.setdefault(standing, {})
        group[image] = None
        self._of[image] = standing, group

    def _remove(self, image: str) -> None:
        standing, group = self._of.pop(image, (None, {}))
        group.pop(image, None)
        if not group:
            self._groups.pop(standing, None)

    def one_of_each(self) -> list[str]:
        """Return one image of each group."""
        return [next(iter(group)) for group in self._groups.values()]

    def __iter__(self) -> Iterator[Collection[str]]:
        """Yield the images of each group."""
        yield from self._groups.values()
