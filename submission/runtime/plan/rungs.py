"""Which rungs were started, which rows exist, and which rows can still come."""

from __future__ import annotations

from collections.abc import Iterable

from kit.ensemble import Ensemble
from submission.runtime.plan.changes import RefuseRung, StartRung
from submission.runtime.plan.losses import Losses


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
    """

    def __init__(self, ensemble: Ensemble, losses: Losses) -> None:
        self.ensemble, self.losses = ensemble, losses
        self.started: set[int] = set()
        self.begun: dict[int, StartRung] = {}
        self.refused: dict[int, RefuseRung] = {}
        self.rows: dict[tuple[int, str], str] = {}
        self.fused_from: dict[tuple[int, str], int] = {}
        self._adds: tuple[int, dict[int, bool]] = (0, {})

    @property
    def may_start(self) -> bool:
        """Whether a rung may still start: one is left, and none was refused."""
        return len(self.started) < len(self.ensemble.rungs) and not self.refused

    def settled(self, rung: int, images: Iterable[str]) -> bool:
        """Whether every image has its row of a started rung, or a better one, or will not get it."""
        return (
            rung in self.started
            and self.adds(rung)
            and all(
                (rung, image) in self.rows or self.losses.blocks(rung, image) or self._has_better(rung, image)
                for image in images
            )
        )

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

    def note_row(self, rung: int, image: str, file: str) -> None:
        """Note a row, which may replace an earlier one that a member had no part in."""
        self.rows[rung, image] = file
        self.fused_from[rung, image] = len(self.losses.live_passes(rung))

    def up_to_date(self, rung: int, image: str) -> bool:
        """Whether the row of an image has all passes that the rung has now, with members that came back."""
        return self.fused_from.get((rung, image), 0) >= len(self.losses.live_passes(rung))

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
                if rung not in self.started and not self.losses.blocks_for_good(rung, image)
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
