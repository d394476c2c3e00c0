"""Notices members whose output says nothing: the same everywhere, or the same as another member's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from kit.plan.state import LadderState
from submission.runtime.result import wording

_PLAIN_IMAGES, _EQUAL_IMAGES = 5, 2
"""Images after which a member is told of; fewer where there are fewer. A single image may be empty."""
_WATCHED = 100
"""Images whose results are looked at: of 5000 images and 64 passes there would be 320,000 to remember."""


class OutputWatch:
    """Looks at marks of results, and tells each fault once. It is an alarm: no member is dropped for it.

    Args:
        state: of the ladder; knows the members and the images.
    """

    def __init__(self, state: LadderState) -> None:
        self._state, self._ensemble = state, state.ensemble
        self._watched: set[str] = set()
        self._plain: defaultdict[int, set[str]] = defaultdict(set)
        self._varied: set[int] = set()
        self._marks: defaultdict[tuple[str, str, int], set[int]] = defaultdict(set)
        self._equal: defaultdict[tuple[int, int], set[str]] = defaultdict(set)

    def note(self, index: int, image: str, mark: int, *, plain: bool, left: float = 1.0) -> Iterator[str]:
        """Note a result, and yield a sentence for what it shows.

        Args:
            index: of the pass.
            image: id of the image.
            mark: of the result's content.
            plain: it is the same everywhere, or holds no detection.
            left: share of the windows that were looked at; where the others were skipped, all members have
                the same result, and nothing is noted.
        """
        if left < 1:
            return
        if image not in self._watched and len(self._watched) == _WATCHED:
            return
        self._watched.add(image)
        pass_ = self._ensemble.passes[index]
        member = pass_.member
        if plain:
            found = self._plain[member]
            news = image not in found
            found.add(image)
            if (
                news
                and member not in self._varied
                and len(found) == min(_PLAIN_IMAGES, len(self._state.megapixels))
            ):
                name = self._ensemble.members[member].name
                yield wording.plain_output(name, len(found), self._ensemble.kind)
            return
        self._varied.add(member)
        others = self._marks[image, pass_.view, mark]
        for other in others - {member}:
            images = self._equal[min(member, other), max(member, other)]
            news = image not in images
            images.add(image)
            if news and len(images) == min(_EQUAL_IMAGES, len(self._state.megapixels)):
                one, two = (self._ensemble.members[number].name for number in sorted((member, other)))
                yield wording.equal_output(one, two, len(images))
        others.add(member)
