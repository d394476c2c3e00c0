"""Which folds a competition's images get: the published ones or honest ones, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kit.errors import KitError
from kit.local.wording import counted
from train_local.data import folds, published_folds
from train_local.data.folds import Fold

Rule = Literal["published", "group", "strips", "stratified"]
REVIEWED = 1
"""Number of the vasculature's dataset that experts reviewed. The test tiles are of its kind."""


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """What a split may go by; every mapping has the ids in the order of the competition's table.

    Attributes:
        groups: id -> what an honest split keeps together (slide, WSI, patient).
        organs: id -> organ; empty text where it is not known. Of values: what their folds are stratified by.
        strata: what `organs` are.
        datasets: id -> number of its dataset; empty in a competition without.
        areas: id -> column, row, width and height of a tile in its WSI; empty for whole images.
    """

    groups: Mapping[str, str]
    organs: Mapping[str, str] = field(default_factory=dict)
    strata: str = "organ"
    datasets: Mapping[str, int] = field(default_factory=dict)
    areas: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def reviewed(self) -> list[str]:
        """Return the ids that folds hold out: those of dataset 1; all where there is no such dataset."""
        chosen = [item for item in self.groups if self.datasets.get(item) == REVIEWED]
        return chosen or list(self.groups)


@dataclass(frozen=True)
class Split:
    """The folds of a competition's images.

    Attributes:
        rule: by which they were made.
        folds: of all labelled images.
        notes: what a person should know of them.
        strata: what they are stratified by, beside the rule; "" for nothing.
    """

    rule: Rule
    folds: list[Fold]
    notes: list[str]
    strata: str = ""


def make(
    rule: Rule | None, competition: str, images: Labelled, count: int | None = None, *, seed: int = 42
) -> Split:
    """Deal the labelled images of a competition into folds.

    Args:
        rule: "published" takes the published folds if these are the published images, else an honest rule
            (strips for tiles, groups for others) and says so; "group" never splits a slide or WSI; "strips"
            cuts each WSI into strips of neighbouring tiles; "stratified" deals tiles whatever their
            neighbours. None is "published".
        competition: its name.
        images: what is known of them.
        count: number of folds. None takes the published number: 4 of kidney and body, 5 of tiles; for
            "group" 2 to 4, as many as there are groups.
        seed: of what is drawn; the published folds have their own.

    Raises:
        KitError: the folds cannot be made.
    """
    notes: list[str] = []
    chosen: Rule = rule or "published"
    if chosen == "published":
        made = _published(competition, images)
        if made is not None and count in (None, len(made)):
            return _whole("published", made, images, notes)
        if competition in _PUBLISHED:
            why = f"there are {len(made)} of them" if made else f"they are of {_PUBLISHED[competition][1]}"
            notes.append(f"note: the published folds are not used: {why}")
        chosen = "strips" if images.areas else "group"
    reviewed = images.reviewed()
    groups = {item: images.groups[item] for item in reviewed}
    if chosen == "stratified":
        made = folds.stratified(groups, count or 5, seed=seed)
    elif chosen == "strips":
        if not images.areas:
            raise KitError("strips need the tiles' positions", where="--split", fix="use --split group")
        made = folds.strips(groups, {item: images.areas[item][:2] for item in reviewed}, count or 5)
    else:
        strata = {item: images.organs.get(item, "") for item in reviewed}
        count = count or max(2, min(4, len(set(groups.values()))))
        made = folds.by_group(groups, count, strata=strata, seed=seed)
    return _whole(chosen, made, images, notes)


_PUBLISHED: dict[str, tuple[Callable[[Labelled], list[Fold] | None], str]] = {
    "kidney": (lambda images: published_folds.kidney(images.groups), "8 slides that are not all here"),
    "vasculature": (
        lambda images: published_folds.vasculature({i: images.groups[i] for i in images.reviewed()}),
        "270 + 152 tiles of dataset 1, and these are others",
    ),
    "body": (
        lambda images: published_folds.body(images.organs) if images.organs else None,
        "at least 5 images of each organ",
    ),
}
"""Competition -> its published folds, and of which images they are."""


def _published(competition: str, images: Labelled) -> list[Fold] | None:
    return _PUBLISHED[competition][0](images) if competition in _PUBLISHED else None


def _whole(rule: Rule, made: list[Fold], images: Labelled, notes: list[str]) -> Split:
    """Add the images that no fold holds out (dataset 2) to the training part of every fold.

    The published split and "stratified" train on all of them. An honest one leaves out of a fold what shows
    the held-out tissue: tiles of a held-out WSI ("group"), or tiles that touch a held-out tile ("strips").
    """
    known = {item for fold in made for item in (*fold.train, *fold.valid)}
    others = [item for item in images.groups if item not in known]
    result = []
    for fold in made:
        kept = others
        if rule == "group":
            held = {images.groups[item] for item in fold.valid}
            kept = [item for item in others if images.groups[item] not in held]
        elif rule == "strips":
            kept = [item for item in others if not any(touch(images, item, other) for other in fold.valid)]
        result.append(Fold(fold.index, tuple(sorted((*fold.train, *kept))), fold.valid))
        if len(kept) < len(others):
            notes.append(
                f"note: fold {fold.index} leaves out {counted(len(others) - len(kept), 'image')} of other "
                'datasets that show held-out tissue; recipes that train on all of them (part "all") see it'
            )
    several = len({images.organs.get(item, "") for item in images.reviewed()}) > 1
    by = images.strata if rule == "group" and several else ""
    return Split(rule, result, [*notes, *hygiene(result, images)], by)


def touch(images: Labelled, first: str, second: str) -> bool:
    """Return whether two tiles of one WSI overlap or share an edge or a corner."""
    if images.groups[first] != images.groups[second] or not images.areas:
        return False
    (x0, y0, width, height), (x1, y1, other_width, other_height) = images.areas[first], images.areas[second]
    return -width <= x0 - x1 <= other_width and -height <= y0 - y1 <= other_height


def require_sound(made: Sequence[Fold], known: Mapping[str, object], where: object) -> None:
    """Check folds that somebody may have edited.

    Raises:
        KitError: a fold is empty, trains on an image that it validates, or names an image that is not there.
    """
    for fold in made:
        for part, ids in (("train on", fold.train), ("validate on", fold.valid)):
            if not ids:
                raise KitError(
                    f"fold {fold.index} has no image to {part}",
                    where=str(where),
                    fix="run `prepare` again with fewer --folds",
                )
            if unknown := [item for item in ids if item not in known]:
                raise KitError(
                    f"fold {fold.index} names image {unknown[0]}, which is not prepared",
                    where=str(where),
                    fix="run `prepare` again",
                )
        if both := sorted(set(fold.train) & set(fold.valid)):
            raise KitError(
                f"fold {fold.index} trains on {len(both)} of the images that it validates, the first is "
                f"{both[0]}: its score would be worthless",
                where=str(where),
                fix="run `prepare` again; a recipe that trains on all images says so itself (part 'all')",
            )


def hygiene(made: Sequence[Fold], images: Labelled) -> list[str]:
    """Return alarms about a split that leaks, and about very uneven folds."""
    alarms = []
    groups = images.groups
    shared = {
        group for fold in made for group in {groups[i] for i in fold.train} & {groups[i] for i in fold.valid}
    }
    if shared:
        neighbours = _neighbours(made, images)
        alarms.append(
            f"alarm: {len(shared)} of {len(set(groups.values()))} groups are on both sides of a fold"
            + (f", and {neighbours} held-out tiles touch a training tile" if neighbours else "")
            + "; the out-of-fold score will be too good for images from elsewhere (--split group avoids that)"
        )
    sizes = [len(fold.valid) for fold in made]
    least, most = min(sizes, default=0), max(sizes, default=0)
    if most > 3 * least > 0:
        alarms.append(f"alarm: folds are uneven: they hold out {least} to {most} images")
    return alarms


def _neighbours(made: Sequence[Fold], images: Labelled) -> int:
    """How many held-out tiles touch a tile that their fold trains on."""
    if not images.areas:
        return 0
    return sum(
        any(touch(images, item, other) for other in fold.train) for fold in made for item in fold.valid
    )
