"""Early stopping: up to which doubt of its row a rung is enough for an image, tuned on held-out images.

The cheap passes of a ladder are done over all images. Where they agree, dear ones change little: an image
whose doubt (`kit.inference.*_doubt`) is below a rung's limit keeps its row, and all later passes skip it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kit.ensemble import EarlyStop
from train_local.ensemble.ladder import LadderRung
from train_local.ensemble.nested import ScoredStep, assigned
from train_local.ensemble.parts import others
from train_local.ensemble.scores import Assigned, Scores

SHARES = tuple(step / 20 for step in range(19, 0, -1))
"""Shares of the images that come to a rung that may stop there, the largest first."""
LEAST_IMAGES = 8
"""With fewer held-out images no image stops early: what a share of them costs is chance."""
_SAME = 1e-9
"""Scores that differ by less differ by rounding."""


@dataclass(frozen=True)
class Reached:
    """What a rung comes to on unseen images.

    Attributes:
        rung: its index in the ladder.
        stop: of this rung; None if it stops no image.
        without: the score without early stopping, `cv` of the rung.
        score: the score where images that stopped before have their earlier rows.
        cost: of all passes that the images had by then; 1 without early stopping.
    """

    rung: int
    stop: EarlyStop | None
    without: float
    score: float
    cost: float


def early_stops(
    scores: Scores,
    rungs: Sequence[LadderRung],
    path: Collection[int],
    parts: Sequence[Sequence[str]],
    megapixels: Mapping[str, float],
) -> list[Reached]:
    """Tune which images stop at which rung, so that the most is saved and no rung's unseen score falls.

    A rung after the other, the cheapest first, gets the largest share of `SHARES` for which the score of
    each dearer measured rung on unseen images, mixed with the rows of the images that stopped, is not below
    its score without early stopping. Where no share is, nobody stops there. Rows of different rungs are
    really put together: of detections the AP of all of them, with the scores that they have.

    Each part is judged with a limit that was found without it: that which this share of the other images is
    below, all predicted with the rungs that were found without the part. Five parts, 40 % and rung 0:

        part   rung 0 of the other parts' ladder   its doubts of the others        limit   stop in the part
        1      a                                   0.02, 0.03, 0.06, 0.09, ...     0.04    3 of 7
        2      a                                   0.01, 0.03, 0.06, 0.09, ...     0.05    2 of 7
        ...

    The limit that goes into `ensemble.json` is that of the final rung over all images.

    Args:
        scores: of the held-out images that count; the steps' scores are exact.
        rungs: of the ladder.
        path: indices of the rungs on the main path; images stop at these only.
        parts: of the images.
        megapixels: of each image.

    Returns:
        For each measured rung on the main path what it comes to, in their order.
    """
    measured = {number: item.scored for number, item in enumerate(rungs) if item.scored is not None}
    tuner = _Tuner(scores, measured, parts)
    on_path = [number for number in measured if number in path]
    unseen = all(scored.of_parts for scored in measured.values())
    enough = unseen and len(scores.ids) >= LEAST_IMAGES
    reached = []
    for number in on_path:
        stop = tuner.stop(number) if enough else None
        scored = measured[number]
        score = tuner.score(number) if enough else scored.promise
        reached.append(Reached(number, stop, scored.promise, score, tuner.cost(number, megapixels)))
    return [
        one if one.stop is None else replace(one, stop=replace(one.stop, cv=reached[-1].score))
        for one in reached
    ]


class _Tuner:
    """Looks for the limits of one rung after the other; knows which images have stopped so far."""

    def __init__(
        self, scores: Scores, measured: Mapping[int, ScoredStep], parts: Sequence[Sequence[str]]
    ) -> None:
        self._scores, self._measured, self._parts = scores, measured, parts
        self._unseen = {number: assigned(parts, scored.of_parts) for number, scored in measured.items()}
        # Images by the rung at which they stopped: with limits found without them, and with the final ones.
        self._stopped: dict[str, int] = {}
        self._final: dict[str, int] = {}

    def stop(self, number: int) -> EarlyStop | None:
        """Return which images stop at a rung, and count them among those that stopped."""
        going = [image_id for image_id in self._scores.ids if image_id not in self._stopped]
        later = [other for other in self._measured if other > number]
        if not later or not going:
            return None
        own = self._doubts(going, self._unseen[number])
        of_others = self._doubts_of_others(number, going)
        final = self._final_doubts(number)
        for share in SHARES:
            limits = [limit_of(doubts.values(), share) for doubts in of_others]
            new = [
                image_id
                for part, limit in zip(self._parts, limits, strict=True)
                for image_id in part
                if image_id in own and own[image_id] < limit
            ]
            stopped = self._stopped | dict.fromkeys(new, number)
            below = limit_of(final.values(), share)
            if new and 0 < below <= 1 and all(self._loses_nothing(other, stopped) for other in later):
                self._stopped = stopped
                self._final |= {image_id: number for image_id, doubt in final.items() if doubt < below}
                return EarlyStop(below=below, share=len(new) / len(going), cv=0.0)
        return None

    def score(self, number: int, stopped: Mapping[str, int] | None = None) -> float:
        """Return the score of a rung on unseen images, those that stopped before with their earlier rows."""
        stopped = self._stopped if stopped is None else stopped
        rows = {
            image_id: self._unseen[min(number, stopped.get(image_id, number))][image_id]
            for image_id in self._scores.ids
        }
        return self._scores.score(rows)

    def cost(self, number: int, megapixels: Mapping[str, float]) -> float:
        """Return the cost of a rung that is left by early stopping, as a share."""
        costs = {other: scored.step.cost for other, scored in self._measured.items()}
        spent = sum(
            megapixels[image_id] * costs[min(number, self._stopped.get(image_id, number))]
            for image_id in self._scores.ids
        )
        return spent / (costs[number] * sum(megapixels[image_id] for image_id in self._scores.ids))

    def _loses_nothing(self, number: int, stopped: Mapping[str, int]) -> bool:
        return self.score(number, stopped) >= self._measured[number].cv - _SAME

    def _doubts_of_others(self, number: int, going: Sequence[str]) -> list[dict[str, float]]:
        """Return for each part the doubts of the images outside it, by the step that was found without it."""
        chosen = self._measured[number].of_parts
        searched = self._scores.searched & frozenset(going)
        return [
            self._doubts(
                [image_id for image_id in others(self._parts, place) if image_id in searched],
                dict.fromkeys(self._scores.ids, Assigned(step.selection, step.settings)),
            )
            for place, step in enumerate(chosen)
        ]

    def _final_doubts(self, number: int) -> dict[str, float]:
        step = self._measured[number].step
        going = [image_id for image_id in sorted(self._scores.searched) if image_id not in self._final]
        return self._doubts(going, dict.fromkeys(self._scores.ids, Assigned(step.selection, step.settings)))

    def _doubts(self, ids: Sequence[str], how: Mapping[str, Assigned]) -> dict[str, float]:
        return self._scores.doubts({image_id: how[image_id] for image_id in ids})


def limit_of(doubts: Iterable[float], share: float) -> float:
    """Return a number that this share of some doubts is below, or a smaller share where doubts are equal.

    Of the doubts 0.1, 0.2, 0.4 and 0.7, a half is below 0.3. 0 if none shall be below.
    """
    ranked = sorted(doubts)
    count = round(share * len(ranked))
    if count == 0:
        return 0.0
    return (ranked[count - 1] + ranked[min(count, len(ranked) - 1)]) / 2
