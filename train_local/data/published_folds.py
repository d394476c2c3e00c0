"""The folds that the published solutions were trained with, as far as their code tells them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from train_local.data import folds
from train_local.data.folds import Fold

_KIDNEY = (
    ("0486052bb", "e79de561c"),
    ("2f6ecfcdf", "afa5e8098"),
    ("1e2425f28", "8242609fa"),
    ("cb2d976f4", "c68fe75ea"),
)
"""Pairs of slides that are held out; the other 7 of the 15 slides are trained on in every fold."""
_VASCULATURE = {"1": 270, "2": 152}
"""Tiles of dataset 1 by WSI."""
_BODY_FOLDS, _BODY_SHARE, _BODY_SEED = 4, 0.2, 2021
SEED = 42
"""Of the vasculature's folds."""


def kidney(ids: Mapping[str, object]) -> list[Fold] | None:
    """Return the four published folds of "Hacking the Kidney"; None if a slide of theirs is not here."""
    if not {item for pair in _KIDNEY for item in pair} <= ids.keys():
        return None
    return [
        Fold(index, tuple(sorted(ids.keys() - set(pair))), tuple(sorted(pair)))
        for index, pair in enumerate(_KIDNEY)
    ]


def vasculature(wsis: Mapping[str, str]) -> list[Fold] | None:
    """Return the five published folds of the vasculature's dataset 1; None if these are other tiles.

    Args:
        wsis: id -> WSI of the tiles of dataset 1, in the order of tile_meta.csv.
    """
    if Counter(wsis.values()) != _VASCULATURE:
        return None
    return folds.stratified(wsis, 5, seed=SEED)


def body(organs: Mapping[str, str], seed: int = _BODY_SEED) -> list[Fold] | None:
    """Return four folds by the published rule of "Hacking the Human Body"; None if an organ has too few.

    From n images of an organ, int(0.2 n) * 4 are drawn and cut into four sets, one for each fold to hold out.
    The rest is trained on in every fold. With 11 images of an organ:

        shuffled   h c a | ...             int(0.2 * 11) = 2 images a fold
        fold 0     h c                     fold 1  a f     fold 2  k b     fold 3  d j
        always trained on                  e g i

    Which images the authors drew is not known, only how.

    Args:
        organs: id -> organ.
        seed: of the draw.
    """
    random = np.random.RandomState(seed)
    held: list[list[str]] = [[] for _ in range(_BODY_FOLDS)]
    for organ in sorted(set(organs.values())):
        names = sorted(item for item, of_item in organs.items() if of_item == organ)
        share = int(_BODY_SHARE * len(names))
        if not share:
            return None
        drawn = random.choice(names, share * _BODY_FOLDS, replace=False).tolist()
        for index in range(_BODY_FOLDS):
            held[index] += drawn[index * share : (index + 1) * share]
    return [
        Fold(index, tuple(sorted(organs.keys() - set(valid))), tuple(sorted(valid)))
        for index, valid in enumerate(held)
    ]
