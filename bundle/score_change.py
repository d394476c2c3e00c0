"""Measure what another number format of the weights costs: the competition's score before and after.

Both sides go through the engine that runs on Kaggle, on the same device, on the same images. With the runs of
training at hand these are images that a member never trained on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import competitions
from kit.artefacts import read_json
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.competitions import scores
from kit.local.competitions.labelled import LabelledData
from kit.local.console import progress, show_table

ENSEMBLE = "all members"  # no member has this name: theirs have no spaces


@dataclass(frozen=True, kw_only=True)
class Change:
    """A score before and after.

    Attributes:
        name: of the member, or `ENSEMBLE`: of each image the members that it was scored for, together, with
            the weights of the last rung.
        images: number of images that were scored.
        held_out: whether the member did not train on them, as far as its run says so.
        before: the metric with the weights as trained.
        after: with those that are shipped.
    """

    name: str
    images: int
    held_out: bool
    before: float
    after: float

    @property
    def change(self) -> float:
        """What the format adds to the score; below 0 it costs."""
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class Version:
    """An ensemble and where the weights of its members lie, in its order."""

    ensemble: Ensemble
    files: Sequence[Path]


def measure(
    before: Version, after: Version, data: Path, *, runs: Path | None, images: int, device: str = "auto"
) -> list[Change]:
    """Score the members alone and the ensemble, with both versions of the weights.

    Args:
        before: as trained.
        after: as shipped; the same members in the same order, with other weights.
        data: the competition's folder, with the truth of its training images.
        runs: folder of training runs; their `oof.json` says which images a member did not train on.
        images: at most so many of each member, evenly spread over its list.
        device: "auto", "cpu" or "cuda".

    Returns:
        One change for each member, then the ensemble's.

    Raises:
        KitError: an image or its truth cannot be read, a network cannot predict it, `runs` holds no
            out-of-fold predictions, or their list is damaged.
    """
    plan = before.ensemble
    labelled = LabelledData(competitions.of(plan), data)
    held_out = _held_out(plan, runs)
    ids = {
        member.name: _spread(held_out.get(member.name) or labelled.train_ids(), images)
        for member in plan.members
    }
    with tempfile.TemporaryDirectory(prefix="score-change-") as scratch:
        shared = (labelled, ids, Path(scratch), device)
        old, new = (_scores(version, *shared) for version in (before, after))
    every = {image_id for chosen in ids.values() for image_id in chosen}
    names = [*(member.name for member in plan.members), ENSEMBLE]
    known = {**{name: name in held_out for name in ids}, ENSEMBLE: len(held_out) == len(ids)}
    counts = {**{name: len(chosen) for name, chosen in ids.items()}, ENSEMBLE: len(every)}
    return [
        Change(name=name, images=counts[name], held_out=known[name], before=old[name], after=new[name])
        for name in names
    ]


def require_small(changes: Sequence[Change], limit: float, dtype: str, where: Path) -> None:
    """Refuse a format that moves a score by more than a limit.

    Raises:
        KitError: names what moves how far.
    """
    # A score that rises by chance would fall by chance on other images, so both directions count.
    # A score that is no number is no small change: each comparison with it is False.
    large = [item for item in changes if not abs(item.change) <= limit]
    if not large:
        return
    told = ", ".join(
        f"{item.name} {item.before:.5f} -> {item.after:.5f} ({item.change:+.5f})" for item in large
    )
    other = "--weights-dtype bfloat16" if dtype == "float16" else "--weights-dtype float16"
    raise KitError(
        f"{dtype} weights move the score by more than {limit:g}: {told}",
        where=where,
        fix=f"try {other}, or leave the option out; with few images a score moves by chance, so give more "
        "of them (--measure-images); or allow more (--max-change)",
    )


def show(changes: Sequence[Change], metric: str, dtype: str) -> None:
    """Print a line for each member and the ensemble."""
    rows = [
        (
            item.name,
            f"{item.images}{' held out' if item.held_out else ''}",
            f"{item.before:.5f}",
            f"{item.after:.5f}",
            f"{item.change:+.5f}",
        )
        for item in changes
    ]
    show_table(f"{metric}: as trained, and as {dtype}", ("", "images", "before", "after", "change"), rows)


def _held_out(plan: Ensemble, runs: Path | None) -> dict[str, list[str]]:
    """Return the images that members did not train on, by the member's name, as far as the runs say."""
    if runs is None:
        return {}
    by_weights = {member.sha256: member.name for member in plan.members}
    found: dict[str, list[str]] = {}
    paths = sorted(runs.glob("*/fold*/oof/oof.json"))
    if not paths:
        raise KitError(
            "no run here lists images that it did not train on",
            where=runs,
            fix="correct --runs, or leave it out to score all members on images of the training",
        )
    for path in paths:
        weights, ids = _listed(path)
        # A run on all images held none out and lists none.
        if ids and weights in by_weights:
            found[by_weights[weights]] = ids
    return found


def _listed(path: Path) -> tuple[str, list[str]]:
    """Return the sha256 of a run's weights and the ids of the images that it held out, sorted.

    Its `oof.json` tells both: {"weights": "<sha256>", "files": {"<view>": {"<image>": "<file>"}}, ...}
    """
    value = read_json(path)
    try:
        weights, views = str(value["weights"]), value["files"].values()
        return weights, sorted({str(image_id) for of_view in views for image_id, _ in of_view.items()})
    except (AttributeError, KeyError, TypeError) as error:
        raise KitError(
            "the list of a run's out-of-fold predictions is damaged",
            where=path,
            fix="run its `train` command again, or leave out --runs",
        ) from error


def _spread(ids: Sequence[str], count: int) -> list[str]:
    """Some of the images: of 10 and 4 wanted those at 0, 2, 5, 7."""
    if len(ids) <= count:
        return list(ids)
    return [ids[number * len(ids) // count] for number in range(count)]


def _scores(
    version: Version, labelled: LabelledData, ids: Mapping[str, Sequence[str]], scratch: Path, device: str
) -> dict[str, float]:
    """Return the score of each member alone, and of the ensemble."""
    import torch  # which --help does not need

    from kit.inference.runner import PassResult, configure, fuse, open_member, run_pass

    plan, source = version.ensemble, labelled.competition
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    configure(place)
    weights = plan.rungs[-1].weights
    results: dict[str, dict[str, list[PassResult]]] = {}
    with progress(transient=True) as display:
        total = sum(len(ids[plan.members[item.member].name]) for item in plan.passes)
        task = display.add_task("score with both formats", total=total, note="")
        # Member by member, so that one network at a time is in memory.
        for index, member in enumerate(plan.members):
            module = open_member(member, version.files[index], place)
            for number, item in enumerate(plan.passes):
                if item.member != index:
                    continue
                for image_id in ids[member.name]:
                    info = source.info(labelled.data, image_id, "train")
                    image = source.image_path(labelled.data, image_id, "train")
                    file = run_pass(
                        module,
                        member,
                        item.view,
                        image_id,
                        image,
                        scratch,
                        device=place,
                        info=info,
                        reading=source.reading,
                    )
                    result = PassResult(file=file, weight=weights[number], member=member)
                    results.setdefault(member.name, {}).setdefault(image_id, []).append(result)
                    display.advance(task)
            del module
    truth = labelled.truth(image_id for chosen in ids.values() for image_id in chosen)

    def score(of_images: Mapping[str, Sequence[PassResult]]) -> float:
        predictions = {
            image_id: fuse(
                found,
                plan.rungs[-1].settings,
                source.size_of(labelled.data, image_id),
                kind=plan.kind,
                image_id=image_id,
                info=source.info(labelled.data, image_id, "train"),
            ).prediction
            for image_id, found in of_images.items()
        }
        return scores.score(source, {key: truth[key] for key in predictions}, predictions).value

    together: dict[str, list[PassResult]] = {}
    for of_member in results.values():
        for image_id, found in of_member.items():
            together.setdefault(image_id, []).extend(found)
    return {**{name: score(of_member) for name, of_member in results.items()}, ENSEMBLE: score(together)}
