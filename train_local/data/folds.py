"""Cross-validation folds: the rules by which images are dealt. `split` chooses one for a competition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kit.errors import KitError
from kit.local.wording import counted


@dataclass(frozen=True)
class Fold:
    """One division of the labelled images.

    Attributes:
        index: from 0.
        train: ids trained on, sorted.
        valid: ids held out, sorted. Over all folds an id is held out once, or never: some published splits
            train on a part of the images in every fold.
    """

    index: int
    train: tuple[str, ...]
    valid: tuple[str, ...]


def _folds(ids: Sequence[str], fold_of: Mapping[str, int], count: int) -> list[Fold]:
    return [
        Fold(
            index,
            tuple(sorted(item for item in ids if fold_of[item] != index)),
            tuple(sorted(item for item in ids if fold_of[item] == index)),
        )
        for index in range(count)
    ]


def _check(ids: Sequence[str], count: int) -> None:
    if count < 2:
        raise KitError(
            f"with {counted(count, 'fold')} nothing is left to validate on",
            fix="ask for 2 or more: --folds 2",
        )
    if len(ids) < count:
        raise KitError(
            f"{counted(len(ids), 'image')} cannot make {counted(count, 'fold')}",
            fix=f"ask for --folds {len(ids)} or fewer",
        )


def by_group(
    groups: Mapping[str, str], count: int, *, strata: Mapping[str, str] | None = None, seed: int = 42
) -> list[Fold]:
    """Make folds that never split a group (slide, WSI). Their score is honest for images from elsewhere.

    The largest group comes first, and each group goes to the fold with the fewest images so far. Groups of 5,
    3, 3 and 2 images in two folds:

        group of 5 -> fold 0 (5)     group of 3 -> fold 1 (3)
        group of 3 -> fold 1 (6)     group of 2 -> fold 0 (7)

    Groups of one size come stratum by stratum, so that every fold gets its share of each; within a stratum
    the seed decides their order.

    Args:
        groups: id -> group.
        count: number of folds.
        strata: id -> what every fold should get its share of (organ); a group has that of its first image.
        seed: of the order of groups of one size and stratum.

    Raises:
        KitError: there are fewer groups than folds, or fewer than two folds.
    """
    ids = list(groups)
    _check(ids, count)
    members: dict[str, list[str]] = defaultdict(list)
    for item in ids:
        members[groups[item]].append(item)
    if len(members) < count:
        raise KitError(
            f"{counted(len(members), 'group')} cannot make {count} folds without splitting a group",
            fix=f"ask for --folds {len(members)} or fewer"
            if len(members) > 1
            else "add images of another group",
        )
    names = sorted(members)
    shuffled = [names[place] for place in np.random.default_rng(seed).permutation(len(names))]
    sizes = [0] * count
    fold_of: dict[str, int] = {}
    stratum = {name: strata[members[name][0]] if strata else "" for name in names}
    # Python's sort is stable: groups of one size and stratum stay in their shuffled order.
    for name in sorted(shuffled, key=lambda name: (-len(members[name]), stratum[name])):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(members[name])
        fold_of.update(dict.fromkeys(members[name], fold))
    return _folds(ids, fold_of, count)


def stratified(strata: Mapping[str, str], count: int, *, seed: int = 42) -> list[Fold]:
    """Make folds with the same share of every stratum, image by image: the published vasculature split.

    Neighbouring tiles of one WSI can be on both sides of a fold, so its score is too good. The allocation is
    that of scikit-learn's shuffled `StratifiedKFold`, with numpy's legacy generator. So the published seed
    gives the published folds when ids come in the order of the competition's table.

    Args:
        strata: id -> stratum, in the order of the table.
        count: number of folds.
        seed: of the shuffle; 42 was published.

    Raises:
        KitError: there are fewer images than folds, or fewer than two folds.
    """
    ids = list(strata)
    _check(ids, count)
    names = list(dict.fromkeys(strata.values()))
    sizes = Counter(strata.values())
    # How many images of each stratum a fold gets: write the strata one after another, and let the folds take
    # turns. Strata A (3 images) and B (4) in two folds:  A A A B B B B   ->  fold 0 takes A A B B
    #                                                     0 1 0 1 0 1 0       fold 1 takes A B B
    in_order = np.repeat(np.arange(len(names)), [sizes[name] for name in names])
    random = np.random.RandomState(seed)
    fold_of: dict[str, int] = {}
    for place, name in enumerate(names):
        quota = [int((in_order[fold::count] == place).sum()) for fold in range(count)]
        dealt = np.repeat(np.arange(count), quota)
        # One shuffle for each stratum, in the order of the table, from one generator: as scikit-learn draws.
        random.shuffle(dealt)
        fold_of.update(zip((item for item in ids if strata[item] == name), dealt.tolist(), strict=True))
    return _folds(ids, fold_of, count)


def strips(groups: Mapping[str, str], positions: Mapping[str, tuple[int, int]], count: int) -> list[Fold]:
    """Make folds of neighbouring tiles: each group is sorted by place and cut into one strip per fold.

    So every group is in every fold, and yet few tiles have a neighbour on the other side. A cut may move by
    up to two tiles from equal shares, to the largest gap: where source images lie apart, the tiles of one
    image stay together. A WSI of 7 tiles in three folds, with 512 pixels from tile to tile:

        place     0   512  1024 | 4096  4608 | 9216  9728
        gap         512  512   3072   512   4608   512
        fold      0    0     0  |   1     1  |   2     2

    Equal shares would cut after 2 and after 4 tiles (7 * 1 // 3 and 7 * 2 // 3); the gaps of 3072 and 4608
    are near, so the cuts are after 3 and 5. The second WSI begins with fold 1, the third with fold 2.

    Args:
        groups: id -> group (WSI).
        positions: id -> (row or column of the tile's corner in the WSI, the other one).
        count: number of folds.

    Raises:
        KitError: there are fewer images than folds, or fewer than two folds.
    """
    ids = list(groups)
    _check(ids, count)
    fold_of: dict[str, int] = {}
    for place, name in enumerate(sorted(set(groups.values()))):
        tiles = sorted(
            (item for item in ids if groups[item] == name), key=lambda item: (*positions[item], item)
        )
        gaps = [abs(positions[a][0] - positions[b][0]) for a, b in pairwise(tiles)]
        cuts = [_cut(gaps, len(tiles) * strip // count) for strip in range(1, count)]
        for number, item in enumerate(tiles):
            # Each group begins with another fold. Else fold 0 would hold out all groups of one tile.
            fold_of[item] = (sum(number >= cut for cut in cuts) + place) % count
    return _folds(ids, fold_of, count)


def _cut(gaps: Sequence[int], ideal: int) -> int:
    """The number of tiles before a cut: at the largest gap near `ideal`, of equal gaps at the nearest."""
    near = [cut for cut in range(ideal - 2, ideal + 3) if 1 <= cut <= len(gaps)]
    return max(near, key=lambda cut: (gaps[cut - 1], -abs(cut - ideal)), default=ideal)
