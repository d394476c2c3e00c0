"""Early stopping: up to which doubt of its row a rung is enough for an image, tuned on held-out images.

The cheap passes of a ladder are done over all images. Where they agree, dear ones change little: an image
whose doubt (`kit.inference.*_doubt`) is below a rung's limit keeps its row, and all later passes skip it.
Of images that go on, passes may skip confident windows (`train_local.ensemble.confident_windows`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from kit.ensemble import EarlyStop, WindowSkip
from train_local.ensemble.confident_windows import Seen, Unseen, skipped_windows
from train_local.ensemble.ladder import LadderRung
from train_local.ensemble.nested import ScoredStep, assigned
from train_local.ensemble.parts import others
from train_local.ensemble.scores import Assigned, Scores
from train_local.ensemble.semantic_scores import SemanticScores, count_blocks_of

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
        skip: of this rung; None if no window is skipped after it.
        without: the score without early stopping, `cv` of the rung.
        score: the score where images that stopped before have their earlier rows, and confident blocks the
            probabilities that they were skipped with.
        cost: of all passes that the images had by then; 1 without early stopping.
    """

    rung: int
    stop: EarlyStop | None
    without: float
    score: float
    cost: float
    skip: WindowSkip | None = None


def early_stops(
    scores: Scores,
    rungs: Sequence[LadderRung],
    path: Collection[int],
    parts: Sequence[Sequence[str]],
    megapixels: Mapping[str, float],
    *,
    seen: Seen | None = None,
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
        seen: how members see the images; of masks alone. None: no window is skipped.

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
    if unseen and seen is not None and isinstance(scores, SemanticScores) and len(on_path) > 1:
        reached = _skipping(scores, tuner, on_path, seen, reached)
    return [
        one if one.stop is None else replace(one, stop=replace(one.stop, cv=reached[-1].score))
        for one in reached
    ]


def _skipping(
    scores: SemanticScores, tuner: _Tuner, on_path: Sequence[int], seen: Seen, reached: Sequence[Reached]
) -> list[Reached]:
    """Return what rungs come to if windows are skipped as well, after the rung where that saves most."""
    rungs = list(tuner.measured)
    pairs = [
        (rungs.index(base), place) for base in on_path[:-1] for place, rung in enumerate(rungs) if rung > base
    ]
    how = [assigned(tuner.parts, scored.of_parts) for scored in tuner.measured.values()]
    counts = count_blocks_of(scores, how, pairs)
    found = skipped_windows(Unseen(counts, tuner.measured, on_path, tuner.parts, tuner.stopped), seen)
    if found is None:
        return list(reached)
    last = reached[-1]
    skip = WindowSkip(below=found.below, share=found.share, cv=last.score + found.gains[last.rung])
    return [
        replace(
            one,
            score=one.score + found.gains[one.rung],
            cost=found.costs[one.rung],
            skip=skip if one.rung == found.rung else None,
        )
        for one in reached
    ]


class _Tuner:
    """Looks for the limits of one rung after the other.

    Attributes:
        measured: rungs with their scored steps.
        parts: of the images.
        stopped: image -> the rung that it stops at, with limits found without the image.
    """

    def __init__(
        self, scores: Scores, measured: Mapping[int, ScoredStep], parts: Sequence[Sequence[str]]
    ) -> None:
        self._scores, self.measured, self.parts = scores, measured, parts
        self._unseen = {number: assigned(parts, scored.of_parts) for number, scored in measured.items()}
        # Beside `stopped`: the rungs at which images stop with the final limits.
        self.stopped: dict[str, int] = {}
        self._final: dict[str, int] = {}

    def stop(self, number: int) -> EarlyStop | None:
        """Return which images stop at a rung, and count them among those that stopped."""
        going = [image_id for image_id in self._scores.ids if image_id not in self.stopped]
        later = [other for other in self.measured if other > number]
        if not later or not going:
            return None
        own = self._doubts(going, self._unseen[number])
        of_others = self._doubts_of_others(number, going)
        final = self._final_doubts(number)
        for share in SHARES:
            limits = [limit_of(doubts.values(), share) for doubts in of_others]
            new = [
                image_id
                for part, limit in zip(self.parts, limits, strict=True)
                for image_id in part
                if image_id in own and own[image_id] < limit
            ]
            stopped = self.stopped | dict.fromkeys(new, number)
            below = limit_of(final.values(), share)
            if new and 0 < below <= 1 and all(self._loses_nothing(other, stopped) for other in later):
                self.stopped = stopped
                self._final |= {image_id: number for image_id, doubt in final.items() if doubt < below}
                return EarlyStop(below=below, share=len(new) / len(going), cv=0.0)
        return None

    def score(self, number: int, stopped: Mapping[str, int] | None = None) -> float:
        """Return the score of a rung on unseen images, those that stopped before with their earlier rows."""
        stopped = self.stopped if stopped is None else stopped
        rows = {
            image_id: self._unseen[min(number, stopped.get(image_id, number))][image_id]
            for image_id in self._scores.ids
        }
        return self._scores.score(rows)

    def cost(self, number: int, megapixels: Mapping[str, float]) -> float:
        """Return the cost of a rung that is left by early stopping, as a share."""
        costs = {other: scored.step.cost for other, scored in self.measured.items()}
        spent = sum(
            megapixels[image_id] * costs[min(number, self.stopped.get(image_id, number))]
            for image_id in self._scores.ids
        )
        return spent / (costs[number] * sum(megapixels[image_id] for image_id in self._scores.ids))

    def _loses_nothing(self, number: int, stopped: Mapping[str, int]) -> bool:
        return self.score(number, stopped) >= self.measured[number].cv - _SAME

    def _doubts_of_others(self, number: int, going: Sequence[str]) -> list[dict[str, float]]:
        """Return for each part the doubts of the images outside it, by the step that was found without it."""
        chosen = self.measured[number].of_parts
        searched = self._scores.searched & frozenset(going)
        return [
            self._doubts(
                [image_id for image_id in others(self.parts, place) if image_id in searched],
                dict.fromkeys(self._scores.ids, Assigned(step.selection, step.settings)),
            )
            for place, step in enumerate(chosen)
        ]

    def _final_doubts(self, number: int) -> dict[str, float]:
        step = self.measured[number].step
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
