"""Which rungs were started, which rows exist, and which rows can still come."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from kit.ensemble import Ensemble
from kit.plan.changes import RefuseRung, StartRung
from kit.plan.losses import Losses


class Rungs:
    """The rungs of a ladder and their rows.

    Args:
        ensemble: members, passes and rungs.
        losses: make rows impossible.

    Attributes:
        started: rungs that were started.
        begun: started rung -> what was forecast when it started.
        refused: rung -> why it was not started.
        rows: (rung, image) -> file with the row.
        fused_from: (rung, image) -> number of passes that the row was fused from.
        doubts: (rung, image) -> doubt of the row.
        stopped: image -> the rung that is enough for it.
        left: image -> the rung whose confident blocks later passes skip, and for each member the share of its
            windows that it has to look at.
    """

    def __init__(self, ensemble: Ensemble, losses: Losses) -> None:
        self.ensemble, self.losses = ensemble, losses
        self.started: set[int] = set()
        self.begun: dict[int, StartRung] = {}
        self.refused: dict[int, RefuseRung] = {}
        self.rows: dict[tuple[int, str], str] = {}
        self.fused_from: dict[tuple[int, str], int] = {}
        self.doubts: dict[tuple[int, str], float] = {}
        self.stopped: dict[str, int] = {}
        self.left: dict[str, tuple[int, Sequence[float]]] = {}
        self._adds: tuple[int, dict[int, bool]] = (0, {})

    @property
    def may_start(self) -> bool:
        """Whether a rung may still start: one is left, and none was refused."""
        return len(self.started) < len(self.ensemble.rungs) and not self.refused

    def settled(self, rung: int, images: Iterable[str]) -> bool:
        """Whether every image has its row of a started rung, or a better one, or needs none or gets none."""
        return (
            rung in self.started
            and self.adds(rung)
            and all(
                (rung, image) in self.rows
                or not self.goes_on(rung, image)
                or self.losses.blocks(rung, image)
                or self._has_better(rung, image)
                for image in images
            )
        )

    def standing(self, image: str) -> tuple[Hashable, ...]:
        """Return all that answers about an image depend on here: its rows, and where it stopped."""
        has = (rung for rung in range(len(self.ensemble.rungs)) if (rung, image) in self.rows)
        return tuple(has), self.stopped.get(image)

    def goes_on(self, rung: int, image: str) -> bool:
        """Whether no rung before this one is enough for an image."""
        return self.stopped.get(image, rung) >= rung

    def going_on(self, rung: int, images: Iterable[str]) -> list[str]:
        """Return those of some images for which no rung before this one is enough."""
        return [image for image in images if self.goes_on(rung, image)]

    def _has_better(self, rung: int, image: str) -> bool:
        """Whether an image has a row of a higher rung, which may stand beside rows of this one."""
        # The last image of rung 0 may get its row of rung 1 first: another worker was quicker.
        last = len(self.ensemble.rungs) - 1
        best = self.best_row(last, image) if self.ensemble.rows_may_mix else None
        return best is not None and best[0] > rung

    def best_row(self, rung: int, image: str) -> tuple[int, str] | None:
        """Return the highest rung up to this one that has a row for an image, and the row's file."""
        for lower in range(rung, -1, -1):
            if (lower, image) in self.rows:
                return lower, self.rows[lower, image]
        return None

    def note_row(
        self, rung: int, image: str, file: str, doubt: float | None = None, left: Sequence[float] = ()
    ) -> None:
        """Note a row, which may replace an earlier one that a member had no part in.

        Args:
            rung: of the row.
            image: of the row.
            file: with the row.
            doubt: of the row, if it is known.
            left: for each member the share of its windows that is left; empty if the rung skips none.
        """
        live, whole = len(self.losses.live_passes(rung)), self.ensemble.rungs[rung]
        self.rows[rung, image] = file
        self.fused_from[rung, image] = live
        if doubt is not None:
            self.doubts[rung, image] = doubt
        if live < len(whole.passes):
            return  # the limits were tuned for rows of all passes
        if left:
            self.left[image] = rung, left
        # An image whose blocks are all confident stops, too: no member has a window to look at.
        limit = 0.0 if whole.stop is None else whole.stop.below
        if (doubt is not None and doubt < limit) or (left and not any(left)):
            self.stopped[image] = min(rung, self.stopped.get(image, rung))

    def share_left(self, index: int, image: str) -> float:
        """Return the share of the windows of an image that a pass has to look at."""
        _, left = self.left.get(image, (0, ()))
        return left[self.ensemble.passes[index].member] if left else 1.0

    def doubt(self, image: str) -> float | None:
        """Return the doubt of an image's best row; None where it is not known."""
        best = self.best_row(len(self.ensemble.rungs) - 1, image)
        return None if best is None else self.doubts.get((best[0], image))

    def up_to_date(self, rung: int, image: str) -> bool:
        """Whether an image's row has all passes that the rung has now, or the image needs no such row."""
        live = len(self.losses.live_passes(rung))
        return not self.goes_on(rung, image) or self.fused_from.get((rung, image), 0) >= live

    def top(self) -> int | None:
        """Return the highest started rung that adds passes to the one before."""
        return next((rung for rung in sorted(self.started, reverse=True) if self.adds(rung)), None)

    def open_for(self, image: str) -> list[int]:
        """Return started rungs that an image may still get a row of, or a better one, lowest first."""
        if image in self.losses.images:
            return []
        top, best = self.top(), self.best_row(len(self.ensemble.rungs) - 1, image)
        return [
            rung
            for rung in sorted(self.started)
            if (best is None or rung >= best[0] or not self.ensemble.rows_may_mix)
            and self.goes_on(rung, image)
            and self.adds(rung)
            and not (self.up_to_date(rung, image) if rung == top else (rung, image) in self.rows)
            and not self.losses.blocks_for_good(rung, image)
        ]

    def wanted_passes(self, image: str) -> list[int]:
        """Return the passes that an image's rows of started rungs are fused from, as far as they are open."""
        return self._together(self.open_for(image))

    def needed_passes(self, image: str) -> list[int]:
        """Return the passes whose results an image still needs, for rungs started or yet to start."""
        if image in self.losses.images:
            return []
        # Example with passes [0], [0, 1], [0, 1, 2]: rung 0 has its row, rung 1 is started, rung 2 may start.
        # Passes 0, 1, 2 are needed. When rung 2 is refused, only 0 and 1 are, until rung 1 has its row. A
        # rung that was passed over is not needed any more where a higher one has its row.
        rungs = self.open_for(image)
        if self.may_start:
            best = self.best_row(len(self.ensemble.rungs) - 1, image)
            rungs += [
                rung
                for rung in range(0 if best is None else best[0] + 1, len(self.ensemble.rungs))
                if rung not in self.started
                and self.goes_on(rung, image)
                and not self.losses.blocks_for_good(rung, image)
            ]
        return self._together(rungs)

    def adds(self, rung: int) -> bool:
        """Whether no lower rung has all live passes of a rung; dropped members make some rungs equal."""
        # Passes [0], [0, 1] with the member of pass 1 dropped: rung 1 would give the rows of rung 0 again.
        # Asked for with every result, and changed only by a lost member: kept until then.
        if self._adds[0] != self.losses.changes:
            self._adds = (self.losses.changes, {})
        known = self._adds[1]
        if rung not in known:
            own = set(self.losses.live_passes(rung))
            lower = map(self.losses.live_passes, range(rung))
            known[rung] = bool(own) and not any(own.issubset(passes) for passes in lower)
        return known[rung]

    def _together(self, rungs: Iterable[int]) -> list[int]:
        return sorted({index for rung in rungs for index in self.losses.live_passes(rung)})
