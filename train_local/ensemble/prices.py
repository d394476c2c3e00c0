"""What each rung takes in the hidden run: the forecast of the planner that decides there (`kit.plan`).

The search counts relative costs, because equal runs have to give equal ladders. People want to know hours: so
the planner is asked what it would forecast at the start of a run on a machine like this one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.inference.fusion import PassResult, fuse
from kit.plan.choice import all_routes
from kit.plan.costs import reserve_seconds
from kit.plan.forecast import Forecast, Rest
from kit.plan.hidden_run import HiddenSet, images_of
from kit.plan.state import LadderState
from train_local.data.prepared import Prepared
from train_local.ensemble.build import Built
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.ladder import LadderRung
from train_local.ensemble.trial import held_out_files

_MOST_IMAGES = 1000
"""Beyond that, hidden images are put together: the forecast asks for each of them many times."""
_LONG_ENOUGH = 1.0
"""Seconds after which a row is not made again: the first one may import modules."""
_REPEATS = 3

NO_SECONDS = (
    "No seconds are known: no run has predicted held-out images, so what a rung takes cannot be told."
)
NO_SIZE = (
    "What a rung takes cannot be told: nobody said how large the hidden test set is. Name hidden_images in "
    "the competition's file and run `prepare` and `ensemble` again (nothing is trained again), or use "
    "--images and --megapixels here and --hidden-images in `render`."
)
NO_LOADING = "The hours are those without loading: these runs were trained before it was measured."
NO_ROWS = "The hours are those without making rows: no rung has predictions of held-out images."


@dataclass(frozen=True, kw_only=True)
class HiddenRun:
    """The run that rungs are priced for.

    Attributes:
        hidden: its images; None where nobody knows their size.
        workers: that compute in parallel, one for each GPU.
        hours: that the competition allows.
    """

    hidden: HiddenSet | None
    workers: int
    hours: float


@dataclass(frozen=True)
class Price:
    """What a rung takes.

    Attributes:
        path: rungs that the planner goes over on its way, ending with this one.
        time: seconds until it is done.
        chance: probability that it is done in time.
    """

    path: tuple[int, ...]
    time: Forecast
    chance: float


@dataclass(frozen=True)
class Prices:
    """What all rungs take.

    Attributes:
        run: in which run.
        rungs: one for each rung; none where nothing is known.
        notes: what a person has to know to read them.
    """

    run: HiddenRun
    rungs: tuple[Price, ...]
    notes: tuple[str, ...] = ()


def prices_of(built: Built, prepared: Prepared, runs: Sequence[FinishedRun], run: HiddenRun) -> Prices:
    """Return what each rung takes in a hidden run on a machine like this one.

    Loading is measured where a run was trained, rows are made here of held-out predictions. What nobody knows
    is left out, and a note says so.

    Args:
        built: the ensemble and its ladder.
        prepared: what the runs were trained on; its images tell how sizes differ.
        runs: the finished runs.
        run: the hidden run.

    Raises:
        KitError: a stored prediction is damaged.
    """
    by_name = {item.member.name: item for item in runs}
    members = [by_name[member.name] for member in built.ensemble.members]
    if not any(item.seconds_per_megapixel for item in members):
        return Prices(run, (), (NO_SECONDS,))
    if run.hidden is None:
        return Prices(run, (), (NO_SIZE,))
    sizes = [image.height * image.width / 1e6 for image in prepared.images.values()]
    state = LadderState(built.ensemble, images_of(run.hidden, sizes, min(run.hidden.images, _MOST_IMAGES)))
    loads = {number: item.load_seconds for number, item in enumerate(members) if item.load_seconds}
    for number, seconds in loads.items():
        state.costs.observe_load(number, seconds)
    rows = list(_rows(built, prepared, runs))
    for megapixels, seconds in rows:
        state.costs.observe_row(megapixels, seconds)
    notes = [*([] if loads else [NO_LOADING]), *([] if rows else [NO_ROWS])]
    return Prices(run, tuple(forecasts(state, run.workers, run.hours * 3600)), tuple(notes))


def forecasts(state: LadderState, workers: int, limit: float) -> Iterator[Price]:
    """Yield what each rung takes, by the route that the planner would go to it.

    Args:
        state: of a ladder on which nothing is done.
        workers: that compute in parallel.
        limit: seconds of the whole run.
    """
    left = limit - reserve_seconds(limit, state.ensemble.reserve_seconds)
    paths = {route.rungs[-1]: route.rungs for route in all_routes(state, left, workers)}
    rest = Rest(state, workers)
    for rung in range(len(state.ensemble.rungs)):
        # The planner goes to no rung that costs more than a better one; alone, it has its price all the same.
        path = paths.get(rung, (rung,))
        expected = rest.time(path)
        yield Price(path, expected, expected.chance(left))


def _rows(built: Built, prepared: Prepared, runs: Sequence[FinishedRun]) -> Iterator[tuple[float, float]]:
    """Yield megapixels and seconds of rows of the first and the last measured rung, made as on Kaggle."""
    measured = [item for item in built.ladder.rungs if item.scored is not None]
    for item in measured[:1] + measured[1:][-1:]:
        results = _results(prepared, runs, item)
        if results is None:
            continue
        image_id, of_image = results
        image = prepared.images[image_id]
        seconds: list[float] = []
        while len(seconds) < _REPEATS and sum(seconds) < _LONG_ENOUGH:
            began = time.perf_counter()
            fuse(
                of_image,
                item.rung.settings,
                (image.height, image.width),
                kind=prepared.kind,
                image_id=image_id,
                info=image.info,
            )
            seconds.append(time.perf_counter() - began)
        yield image.height * image.width / 1e6, min(seconds)


def _results(
    prepared: Prepared, runs: Sequence[FinishedRun], item: LadderRung
) -> tuple[str, list[PassResult]] | None:
    """Return the smallest image that all recipe views of a rung held out, and their results of it."""
    assert item.scored is not None
    selection = item.scored.step.selection
    held_out = [held_out_files(recipe_view, runs) for recipe_view in selection.recipe_views]
    common = set(held_out[0]).intersection(*held_out[1:])
    if not common:
        return None
    images = prepared.images
    smallest = min(sorted(common), key=lambda image_id: images[image_id].height * images[image_id].width)
    found = []
    for of_view, weight in zip(held_out, selection.weights, strict=True):
        run, path = of_view[smallest]
        found.append(PassResult(file=path, weight=weight, member=run.member))
    return smallest, found
