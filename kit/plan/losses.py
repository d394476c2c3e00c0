"""What a run had to set aside: images, members, passes over an image, rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable

from kit.ensemble import Ensemble
from kit.plan.changes import Item, LeaveOut, LoseImage, LoseMember, LoseRow
from kit.plan.tasks import Stage


class Losses:
    """Losses so far, and the rows that they make impossible.

    Args:
        ensemble: members, passes and rungs.

    Attributes:
        images: image -> why it gets no further prediction.
        members: dropped member -> why.
        successes: member -> number of its results; with one, it is not dropped for failures any more.
        left_out: image -> the passes that it goes on without -> stage of the failure.
        rows: (rung, image) of rows that were given up.
        stages: member or image that may come back -> stage of its last failure.
        changes: how often members were dropped or came back.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.ensemble = ensemble
        self.images: dict[str, str] = {}
        self.members: dict[int, str] = {}
        self.successes: Counter[int] = Counter()
        self.left_out: defaultdict[str, dict[int, Stage]] = defaultdict(dict)
        self.rows: set[tuple[int, str]] = set()
        self.stages: dict[Item, Stage] = {}
        self.changes = 0
        self._live: dict[int, list[int]] = {}

    def add(self, loss: LeaveOut | LoseRow | LoseImage | LoseMember) -> None:
        """Note a loss."""
        item: Item = loss.member if isinstance(loss, LoseMember) else loss.image
        match loss:
            case LeaveOut():
                self.left_out[loss.image][loss.index] = loss.stage
            case LoseRow():
                self.rows.add((loss.rung, loss.image))
            case LoseImage():
                self.images[loss.image] = loss.reason
            case LoseMember():
                self.members[loss.member] = loss.reason
                self._forget()
        if loss.stage is not None:
            self.stages[item] = loss.stage
        elif not isinstance(loss, LoseRow):
            self.stages.pop(item, None)

    def take_back(self, item: Item) -> None:
        """Forget what was lost of an image or a member."""
        if isinstance(item, str):
            self.images.pop(item, None)
            self.left_out.pop(item, None)
            self.rows = {row for row in self.rows if row[1] != item}
            return
        self.members.pop(item, None)
        self._forget()

    def forgive(self, member: int) -> None:
        """Let the images that a member failed on be tried by it again."""
        for image in self.blamed_on(member):
            left = self.left_out[image]
            for index in [index for index in left if self.ensemble.passes[index].member == member]:
                del left[index]

    def note_success(self, member: int) -> bool:
        """Count a result of a member.

        Returns:
            Whether it is the member's first.
        """
        self.successes[member] += 1
        return self.successes[member] == 1

    @property
    def all_members_gone(self) -> bool:
        """Whether every member was dropped for good."""
        return len(self.members.keys() - self.stages.keys()) == len(self.ensemble.members)

    def live_passes(self, rung: int) -> list[int]:
        """Return the passes of a rung whose member was not dropped."""
        # Asked for very often, and changed only by a lost member: kept until then.
        if rung not in self._live:
            passes, own = self.ensemble.passes, self.ensemble.rungs[rung].passes
            self._live[rung] = [index for index in own if passes[index].member not in self.members]
        return self._live[rung]

    def _forget(self) -> None:
        self.changes += 1
        self._live.clear()

    def standing(self, image: str) -> tuple[Hashable, ...]:
        """Return all that answers about an image depend on here: lost passes and rows."""
        left, rows = self.left_out.get(image), len(self.ensemble.rungs)
        given_up = (rung for rung in range(rows) if (rung, image) in self.rows) if self.rows else ()
        return tuple(left) if left else (), tuple(given_up)

    def blocks(self, rung: int, image: str) -> bool:
        """Whether an image cannot get its row of a rung as things are now."""
        return (rung, image) in self.rows or any(
            index in self.live_passes(rung) for index in self.left_out.get(image, ())
        )

    def blocks_for_good(self, rung: int, image: str) -> bool:
        """Whether an image can get its row of a rung only if it is brought back."""
        # Pass 1 failed on the image, and its member never succeeded: it may be dropped soon. Then the rung no
        # longer contains pass 1, and the row is possible again. A member that succeeded once stays: no hope.
        passes = self.ensemble.passes
        return (rung, image) in self.rows or any(
            index in self.live_passes(rung) and passes[index].member in self.successes
            for index in self.left_out.get(image, ())
        )

    def blamed_on(self, member: int) -> set[str]:
        """Return the images that go on without a pass of a member because the member failed on them."""
        # Passes left out for want of disk space are nobody's fault.
        passes = self.ensemble.passes
        return {
            image
            for image, left in self.left_out.items()
            if any(passes[index].member == member and stage != "disk" for index, stage in left.items())
        }
