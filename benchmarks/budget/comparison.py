"""All ways in one world, and in many."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.budget.hindsight import best_choice
from benchmarks.budget.ways import WAYS
from benchmarks.budget.world import world_of


@dataclass(frozen=True)
class Result:
    """How a way did in a world.

    Attributes:
        score: of its file.
        used: part of the budget after which it ended.
        late: its last file was not there in time.
        predicted: the file has a predicted row.
        file: what the file is, in words.
    """

    score: float
    used: float
    late: bool
    predicted: bool
    file: str


@dataclass(frozen=True)
class Compared:
    """All ways in one world.

    Attributes:
        number: of the world.
        kind: "semantic" or "instance".
        share: part of the whole ladder that fits.
        stops: images may stop early.
        best: score of the best choice with hindsight.
        choice: that choice.
        results: one per way, in the order of `WAYS`.
    """

    number: int
    kind: str
    share: float
    stops: bool
    best: float
    choice: str
    results: tuple[Result, ...]

    def ratio(self, way: int) -> float:
        """Return what part of the best choice's score a way reached; 1 where nobody could score."""
        return self.results[way].score / self.best if self.best > 0 else 1.0


def compare(number: int, seed: int, *, nested: bool = False) -> Compared:
    """Return how all ways do in a world."""
    world = world_of(seed, number, nested=nested)
    ended = [way.run(world) for way in WAYS]
    best = max(run.score for run in ended)
    choice = next(way.name for way, run in zip(WAYS, ended, strict=True) if run.score == best)
    better, found = best_choice(world, best)
    if better is not None:
        best, choice = better.score, str(found)
    return Compared(
        number=number,
        kind=world.ensemble.kind,
        share=world.share,
        stops=bool(world.stopping.stops),
        best=best,
        choice=choice,
        results=tuple(
            Result(run.score, run.seconds / world.budget, run.late, bool(run.rows), run.file) for run in ended
        ),
    )
