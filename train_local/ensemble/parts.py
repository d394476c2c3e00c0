"""Which held-out images count, and their parts: the search of one part's ladder does not see that part."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from train_local.data.prepared import Image
from train_local.ensemble.trial import RecipeView

PARTS = 5
"""Parts, if there are so many groups or images."""


def reference_images(held_out: Mapping[RecipeView, Collection[str]]) -> tuple[str, ...]:
    """Return the images that all scores are of, sorted.

    Scores of different images say nothing of recipes: the tiles of one fold are easier than those of another.
    So the images are chosen before anything is scored, those of the recipe view for which

        number of recipe views that held all of them out * number of images

    is largest; of equal ones the first. Recipes of fold 0 (85 tiles), one of fold 4 (84 other tiles):

        detectors-r50, detectors-x101, vit-adapter-l-sgd    3 * 85 = 255     their tiles count
        cbnetv2-swin-b                                      1 * 84 =  84     cannot be compared with them

    A recipe view that held out some of them is measured on these and can join a ladder, not begin one.

    Args:
        held_out: the images that the folds of each recipe view held out.
    """
    sets = {item: frozenset(ids) for item, ids in held_out.items()}
    best: frozenset[str] = frozenset()
    most = 0
    for item in sorted(sets):
        count = len(sets[item]) * sum(sets[item] <= other for other in sets.values())
        if count > most:
            best, most = sets[item], count
    return tuple(sorted(best))


def outer_parts(images: Mapping[str, Image]) -> list[tuple[str, ...]]:
    """Deal images to at most `PARTS` parts of about equal size, those of one group to the same part.

    Groups are sorted by organ and source first, so that each part has all kinds of images. With fewer groups
    than parts, as the two slides of hundreds of tiles, images are dealt one by one; with at most `PARTS`
    images each one is a part (leave-one-out).

    Args:
        images: by id.

    Returns:
        The parts, each with its ids sorted; one part if there is one image only.
    """
    groups: dict[str, list[str]] = {}
    for image_id, image in images.items():
        groups.setdefault(image.group, []).append(image_id)
    if len(groups) < min(PARTS, len(images)):
        groups = {image_id: [image_id] for image_id in images}

    def kind(group: str) -> tuple[str, str, int, str]:
        first = images[groups[group][0]]
        return first.organ, first.source, -len(groups[group]), group

    parts: list[list[str]] = [[] for _ in range(min(PARTS, len(groups)))]
    for group in sorted(groups, key=kind):
        # To the smallest part; of equal ones to the first. 7 images and 3 parts: 3, 2, 2.
        min(parts, key=len).extend(groups[group])
    return [tuple(sorted(part)) for part in parts]


def others(parts: Sequence[Sequence[str]], number: int) -> tuple[str, ...]:
    """Return the ids of all parts but one, sorted; of a single part its own ids."""
    if len(parts) == 1:
        return tuple(parts[0])
    return tuple(sorted(image_id for index, part in enumerate(parts) if index != number for image_id in part))
