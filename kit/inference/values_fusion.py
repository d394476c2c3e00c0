"""Fuse values: numbers to their weighted mean or median, words by vote; and the doubt of what comes out.

This needs no torch and no numpy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

from kit.errors import KitError
from kit.inference.values_settings import ValuesFusion

Value = float | str


def fuse_values(
    passes: Sequence[Mapping[str, Value]],
    weights: Sequence[float],
    fusion: ValuesFusion,
    *,
    where: str,
) -> dict[str, Value]:
    """Return one value for each name.

    >>> fuse_values([{"p": 0.25}, {"p": 0.75}], [3, 1], ValuesFusion(), where="")
    {'p': 0.375}

    Args:
        passes: name -> number or word, of each pass; all have the same names.
        weights: of the passes, positive.
        fusion: of the rung.
        where: the image, for messages.

    Raises:
        KitError: the passes have different names, or a number where another has a word.
    """
    names = list(passes[0])
    for found in passes:
        if set(found) != set(names):
            raise KitError(
                f"one member gives {', '.join(sorted(found))}, another {', '.join(sorted(names))}",
                where=where,
                fix="members of one ensemble predict the same values: take one of them out",
            )
    return {name: _fused(name, [found[name] for found in passes], weights, fusion, where) for name in names}


def _fused(
    name: str, values: Sequence[Value], weights: Sequence[float], fusion: ValuesFusion, where: str
) -> Value:
    numbers = [value for value in values if not isinstance(value, str)]
    if not numbers:
        votes: dict[str, float] = {}
        for word, weight in zip(values, weights, strict=True):
            votes[str(word)] = votes.get(str(word), 0.0) + weight
        return max(votes, key=lambda word: votes[word])  # of equal votes the word that came first
    if len(numbers) < len(values):
        raise KitError(
            f"{name} is a number for one member and a word for another",
            where=where,
            fix="members of one ensemble predict the same values: take one of them out",
        )
    if fusion.numbers == "median":
        return _median(numbers, weights)
    return sum(value * weight for value, weight in zip(numbers, weights, strict=True)) / sum(weights)


def _median(numbers: Sequence[float], weights: Sequence[float]) -> float:
    """Return the number that half of the weight is below; the middle of two where that is between them.

    >>> _median([1.0, 2.0, 9.0], [1, 1, 1]), _median([1.0, 3.0], [1, 1])
    (2.0, 2.0)
    """
    ranked = sorted(zip(numbers, weights, strict=True))
    below = list(accumulate(weight for _, weight in ranked))
    place = bisect_left(below, below[-1] / 2)
    number = ranked[place][0]
    return (number + ranked[place + 1][0]) / 2 if below[place] == below[-1] / 2 else number


def doubt_of_values(passes: Sequence[Mapping[str, Value]], weights: Sequence[float]) -> float:
    """Return how much fused values doubt themselves, in [0, 1): the mean over their names.

    Of a word it is the share of the votes for other words. Of a number it is the standard deviation between
    the passes, and of one that may be a probability also p * (1 - p) of its mean p: 0.5 is unsure of itself,
    0.99 is not. The sum d becomes d / (1 + d), because a number may have any size. Only the order of doubts
    matters: the limit below which images stop is tuned for each rung.

    >>> round(doubt_of_values([{"p": 0.99}], [1]), 3), round(doubt_of_values([{"p": 0.5}], [1]), 3)
    (0.01, 0.2)
    """
    total = sum(weights)
    doubts = []
    for name in passes[0]:
        values = [found[name] for found in passes]
        numbers = [value for value in values if not isinstance(value, str)]
        if not numbers:
            votes: dict[str, float] = {}
            for word, weight in zip(values, weights, strict=True):
                votes[str(word)] = votes.get(str(word), 0.0) + weight
            doubts.append(1 - max(votes.values()) / total)
            continue
        pairs = list(zip(numbers, weights, strict=True))
        mean = sum(value * weight for value, weight in pairs) / total
        spread = (sum(weight * (value - mean) ** 2 for value, weight in pairs) / total) ** 0.5
        probable = all(0 <= value <= 1 for value in numbers)
        doubts.append(spread + (mean * (1 - mean) if probable else 0.0))
    doubt = sum(doubts) / len(doubts)
    return doubt / (1 + doubt)
