"""Which pass of a rung comes next, and over which image."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from kit.plan.policy import ANYONE, Asking
from kit.plan.state import LadderState

_LOADS = 10.0
"""A block of images takes this many times as long as loading its members."""


class Order:
    """The order of a rung's passes.

    A rung that is done in time goes pass by pass, the largest image first, so that no worker waits at the end
    for a large one. Of a rung that may not be done, each complete image counts: it goes block by block of
    images, and all its passes over a block before the next block. What gains most in a second comes first:
    the image of the largest doubt for each second of its passes; without known doubts, the smallest.
    """

    # Passes 3 (member a) and 4 (member b) over images of 1, 2, 4 and 8 megapixels, two images in a block:
    #     sure       3/8 3/4 3/2 3/1 4/8 4/4 4/2 4/1
    #     not sure   3/1 3/2 4/1 4/2 | 3/4 3/8 4/4 4/8
    # If the time is up in the middle, the first order leaves no row of the rung and the second one two. With
    # doubts of 0.1, 0.1, 0.4 and 0.9, a second is worth 0.1, 0.05, 0.1 and 0.11: the largest comes first.
    def __init__(self) -> None:
        self._rung = -1
        self._block: list[str] = []
        self._line: deque[str] = deque()

    def next(
        self, state: LadderState, rung: int, *, sure: bool, workers: int, asking: Asking = ANYONE
    ) -> tuple[int, str] | None:
        """Return the next pass and image of a started rung whose member is ready; None if there is none."""
        passes = state.ensemble.passes
        ready = [index for index in state.live_passes(rung) if passes[index].member in state.ready]
        # All orders of a rung's passes are worth the same, so each worker begins with the member that it
        # holds. A running mean takes passes in their order.
        if not state.stored.averaging:
            ready.sort(key=lambda index: asking.distance(passes[index].member))
        if sure or not _more_than(workers, state, rung):
            return self._first(state, ready)
        found = self._in_block(state, rung, ready)
        if found is None and any(map(state.to_do.any, ready)):
            self._new_block(state, rung, ready, workers)
            found = self._in_block(state, rung, ready)
        return found

    def _first(self, state: LadderState, passes: Sequence[int]) -> tuple[int, str] | None:
        for index in passes:
            if (image := next(state.images_to_do(index), None)) is not None:
                return index, image
        return None

    def _in_block(self, state: LadderState, rung: int, passes: Sequence[int]) -> tuple[int, str] | None:
        if rung != self._rung:
            return None
        for index in passes:
            for image in self._block:
                if state.to_do.has(index, image):
                    return index, image
        return None

    def _new_block(self, state: LadderState, rung: int, passes: Sequence[int], workers: int) -> None:
        """Take the next images with a pass to do: as many as make loading the members a small part."""
        members = {state.ensemble.passes[index].member for index in passes if state.to_do.any(index)}
        enough = 0.0
        if len(members) > 1:
            enough = _LOADS * workers * sum(state.costs.load(member) for member in members)
        if rung != self._rung:
            self._line.clear()
        self._rung, self._block = rung, []
        seconds = 0.0
        for image in self._best_first(state, passes):
            own = [index for index in passes if state.to_do.has(index, image)]
            if own:
                self._block.append(image)
                seconds += sum(state.costs.expected(index, 1, state.work(index, image)) for index in own)
                if len(self._block) >= workers and seconds >= enough:
                    return

    def _best_first(self, state: LadderState, passes: Sequence[int]) -> Iterator[str]:
        """Yield the images that are still in the line; then all once more, as some may have come back."""
        yield from self._leave_line()
        if not self._block:
            self._line.extend(
                sorted(state.live_images(), key=lambda image: _seconds_for_gain(state, passes, image))
            )
            yield from self._leave_line()

    def _leave_line(self) -> Iterator[str]:
        while self._line:
            yield self._line.popleft()


def _more_than(number: int, state: LadderState, rung: int) -> bool:
    """Whether more images than this have no lower rung that is enough for them."""
    groups = (len(group) for group in state.groups if state.rungs.goes_on(rung, next(iter(group))))
    return sum(groups) > number


def _seconds_for_gain(state: LadderState, passes: Sequence[int], image: str) -> tuple[float, float, str]:
    """Return the seconds of an image's passes for each unit of doubt; its size and name break ties."""
    size, doubt = state.megapixels[image], state.rungs.doubt(image)
    own = [index for index in passes if state.to_do.has(index, image)]
    seconds = sum(state.costs.expected(index, 1, state.work(index, image)) for index in own)
    # An image without a row has everything to gain.
    return seconds / max(1.0 if doubt is None else doubt, 1e-6), size, image
