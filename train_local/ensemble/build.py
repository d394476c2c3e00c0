"""From finished runs to an ensemble: search, honest scores, passes and rungs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from kit.ensemble import Ensemble, Pass
from kit.errors import KitError
from kit.local.costs import four_digits
from kit.local.wording import counted
from train_local.data.prepared import Prepared
from train_local.ensemble.confident_windows import Seen
from train_local.ensemble.costs import UNITS, Cost, costs
from train_local.ensemble.early_stopping import Reached, early_stops
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.held_out import candidates_of, scored_recipe_views, scores_of
from train_local.ensemble.ladder import Ladder, Unscored, build_ladder
from train_local.ensemble.nested import ScoredStep, cross_validated, most_asked
from train_local.ensemble.parts import PARTS, outer_parts, reference_images
from train_local.ensemble.picture import SearchPicture
from train_local.ensemble.published_plans import plans_of, recipe_of
from train_local.ensemble.trial import TrialPass, runs_of

FEW_IMAGES = 10
"""With fewer held-out images a warning is printed: the error of a score is then larger than most gains."""


@dataclass(frozen=True)
class Built:
    """An ensemble and how it came about.

    Attributes:
        ensemble: what is written.
        ladder: its passes and rungs, with all that is known of them.
        notes: what a person has to know to read the scores.
        reached: what measured rungs come to with early stopping; none where nothing was tuned.
    """

    ensemble: Ensemble
    ladder: Ladder
    notes: tuple[str, ...] = ()
    reached: tuple[Reached, ...] = ()


def build_ensemble(
    prepared: Prepared,
    runs: Sequence[FinishedRun],
    *,
    keep_all: bool = False,
    cost: Cost = "flops",
    processes: int | None = None,
) -> Built:
    """Search rungs, score them on images the search did not see, and keep those that promise more.

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
        keep_all: keep recipe views that gain nothing as well.
        cost: what gains are divided by.
        processes: that read and fuse predictions; None takes one for each CPU.

    Raises:
        KitError: no run has held-out images, two runs have equal weights, or a prediction is damaged.
    """
    held_out = scored_recipe_views(runs)
    if not held_out:
        raise KitError(
            "none of the finished runs held images out, so nothing can be tuned",
            where=runs[0].weights.parent.parent.parent,
            fix="train a recipe that has folds, or use the published settings: --as-published list",
        )
    ids = reference_images(held_out)
    cost_of = costs(prepared, runs, cost)
    candidates = candidates_of(runs, ids, cost_of)
    parts = outer_parts({image_id: prepared.images[image_id] for image_id in ids})
    with SearchPicture(len(parts), images=len(ids), subsets=most_asked(parts), unit=UNITS[cost]) as picture:
        scores = scores_of(
            prepared,
            runs,
            [item.recipe_view for item in candidates],
            ids,
            processes=processes,
            on_image=picture.image,
        )
        searched = cross_validated(
            scores,
            candidates,
            parts,
            keep_all=keep_all,
            on_step=picture.step,
            on_asked=picture.asked,
        )
    unscored = unscored_of(prepared, runs, searched.steps, ids)
    ladder = build_ladder(searched, runs, cost_of, unscored, keep_all=keep_all)
    images = {image_id: prepared.images[image_id] for image_id in ids}
    megapixels = {image_id: image.height * image.width / 1e6 for image_id, image in images.items()}
    path = to_ensemble(prepared, runs, ladder).main_path
    seen = Seen(
        sizes={image_id: (image.height, image.width) for image_id, image in images.items()},
        infos={image_id: image.info for image_id, image in images.items()},
        members={item.recipe_view: runs_of(item.recipe_view, runs)[0].member for item in candidates},
        cost_of=cost_of,
    )
    reached = early_stops(scores, ladder.rungs, path, parts, megapixels, seen=seen)
    ladder = ladder.stopping({one.rung: one.stop for one in reached}, {one.rung: one.skip for one in reached})
    every = frozenset[str]().union(*held_out.values())
    notes = (*_scored_images(len(ids), len(every)), *_warnings(parts), *_unknown(unscored))
    return Built(to_ensemble(prepared, runs, ladder), ladder, notes, tuple(reached))


def unscored_of(
    prepared: Prepared, runs: Sequence[FinishedRun], steps: Sequence[ScoredStep], ids: Collection[str]
) -> list[Unscored]:
    """Return the recipes that no held-out image can tell anything about, with their published places.

    These are recipes that were trained on all images, and those that held none of the images that count out:
    a recipe of fold 5 beside recipes of fold 1.
    """
    scored = {recipe_view.recipe for recipe_view in steps[-1].step.selection.recipe_views}
    found = []
    for recipe in dict.fromkeys(run.recipe for run in runs):
        of_recipe = [run for run in runs if run.recipe == recipe]
        own = {image_id for run in of_recipe for of_view in run.files.values() for image_id in of_view}
        if own & frozenset(ids):
            continue
        weight, before = 1.0, frozenset[str]()
        for plan in plans_of(prepared.competition):
            weights = {member.recipe: member.weight for member in plan.members}
            if recipe_of(recipe) in weights:
                # Published order a, b, c and recipe b: it comes in front of c, if c is in the ladder.
                later = list(weights)[list(weights).index(recipe_of(recipe)) + 1 :]
                before = frozenset(name for name in scored if recipe_of(name) in later)
                known = [weights[recipe_of(name)] for name in scored if recipe_of(name) in weights] or [1.0]
                weight = weights[recipe_of(recipe)] * len(known) / sum(known)
                break
        found.append(Unscored(recipe, of_recipe[0].views, weight, before))
    return found


def to_ensemble(prepared: Prepared, runs: Sequence[FinishedRun], ladder: Ladder) -> Ensemble:
    """Return `ensemble.json`'s content of a ladder."""
    # Members are the runs that have a pass; a recipe that gained nothing leaves none behind. Passes refer to
    # members by position: runs a.fold0, a.fold1, b.fold0 without a pass of a give members [b.fold0], b = 0.
    names = {item.run.member.name for item in ladder.passes}
    used = [run for run in runs if run.member.name in names]
    index = {run.member.name: position for position, run in enumerate(used)}
    images = prepared.source.format.images
    readers = images.rules.distributions(images) if images.special else ()

    def entry(item: TrialPass) -> Pass:
        seconds = four_digits(item.seconds_per_megapixel)
        return Pass(member=index[item.run.member.name], view=item.view, seconds_per_megapixel=seconds)

    return Ensemble(
        competition=prepared.competition,
        kind=prepared.kind,
        members=[replace(run.member, requires=[*run.member.requires, *readers]) for run in used],
        passes=[entry(item) for item in ladder.passes],
        rungs=[item.rung for item in ladder.rungs],
        inputs={"prepared": prepared.identity, **{run.member.name: run.member.sha256 for run in used}},
        definition=prepared.definition,
    )


def _scored_images(scored: int, every: int) -> list[str]:
    """Say that scores are of some images only: those of an ensemble with other members may be of others."""
    if scored == every:
        return []
    rule = "those that the same folds of most models held out"
    other = "With other models, scores may be of other images; then they cannot be compared with these."
    return [f"The scores are of {scored} of the {every} held-out images, {rule}. {other}"]


def _warnings(parts: Sequence[Sequence[str]]) -> list[str]:
    images = sum(map(len, parts))
    if len(parts) == 1:
        return ["One held-out image: its score is the one everything was tuned on, and tells little."]
    if images < FEW_IMAGES:
        how = "leave-one-out" if len(parts) == images else counted(len(parts), "part")
        few = f"{images} held-out images ({how}): differences between rungs are mostly chance"
        return [f"{few}; from {FEW_IMAGES} images on they begin to mean something."]
    return [] if len(parts) == PARTS else [f"The images form {counted(len(parts), 'part')} only."]


def _unknown(unscored: Sequence[Unscored]) -> list[str]:
    return [
        f"{item.recipe}: no image was held out that the others held out, too. It has its published place and "
        "weight; what it adds is not known, and the scores are those without it."
        for item in unscored
    ]


def shown(value: float | None) -> str:
    """Return a score as tables show it; a dash for what is not known."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
