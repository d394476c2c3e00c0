"""Guess the pattern of some paths: which parts vary, and how ids are made of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kit.competitions.path_pattern import plain_id
from kit.local.new_competition.survey import Files

_SEPARATORS = ("_", "-", "/")
_MOST = 5_000
"""Paths that are compared."""


@dataclass(frozen=True)
class Pattern:
    """A guessed pattern.

    Attributes:
        path: with named parts, e.g. "train/{volume}/{slice}.png".
        id: how an id is made of them.
        matched: share of the known ids for which there is a file.
        suffix: text between an id of the table and the rest of its cell, where cells hold more than the id.
    """

    path: str
    id: str
    matched: float
    ids: frozenset[str]


def pattern_of(files: Files, ids: Sequence[str]) -> Pattern:
    """Return the pattern of some files that explains most ids.

    Args:
        files: that lie alike.
        ids: as a table has them; empty if no table does.
    """
    candidates = list(_candidates(files))
    wanted = {plain_id(image) for image in ids[:_MOST]}
    scored = [
        Pattern(path, template, _share(wanted, found), frozenset(found)) for path, template, found in candidates
    ]
    return max(scored, key=lambda item: item.matched)


def _share(wanted: set[str], found: set[str]) -> float:
    """Return the share of ids that are there; ids of rows, "a_1", count for "a", but less."""
    if not wanted:
        return 0.0
    exact = len(wanted & found) / len(wanted)
    if exact or not found:
        return exact
    longest = sorted({len(image) for image in found}, reverse=True)
    begun = sum(any(image[:length] in found for length in longest if length < len(image)) for image in wanted)
    return 0.9 * begun / len(wanted)


def _candidates(files: Files) -> Iterable[tuple[str, str, set[str]]]:
    """Yield path, template of ids, and the ids of the files."""
    # The parts of "stage1_train/a1/images/a1.png" are the same in all paths (stage1_train, images), or vary; a1
    # and a1 vary together, so that both are {id}.
    rows = [(*PurePosixPath(path).parts[:-1], _stem(path)) for path in files.paths]
    columns = list(zip(*rows, strict=True))
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    if not varying:
        varying = [len(columns) - 1]
    groups: list[list[int]] = []
    for place in varying:
        same = next((group for group in groups if columns[group[0]] == columns[place]), None)
        if same is None:
            groups.append([place])
        else:
            same.append(place)
    names = ["id"] if len(groups) == 1 else ["folder", "name"] if len(groups) == 2 else None
    names = names or [f"part{number}" for number in range(1, len(groups) + 1)]
    texts = {place: name for name, group in zip(names, groups, strict=True) for place in group}
    fixed = {place: _fixed(columns[group[0]]) for group in groups for place in group}

    def path(called: dict[int, str], upto: int | None = None) -> str:
        parts = []
        for place, column in enumerate(columns[:upto]):
            begin, end = fixed.get(place, ("", ""))
            shown = f"{begin}{{{called[place]}}}{end}" if place in called else column[0]
            parts.append(shown + (files.suffix if place == len(columns) - 1 else ""))
        return "/".join(parts)

    def inner(place: int) -> list[str]:
        begin, end = fixed[place]
        return [text[len(begin) : len(text) - len(end) or None] for text in columns[place]]

    last = groups[-1]
    # A name such as "mask_7" may be the id as a whole, or only "7" of it.
    for bare in (True, False):
        if bare:
            fixed = dict.fromkeys(fixed, ("", ""))
        else:
            fixed = {place: _fixed(columns[group[0]]) for group in groups for place in group}
        yield path({**texts, **dict.fromkeys(last, "id")}), "{id}", set(inner(last[0]))
        if len(groups) == 2:
            first = groups[0]
            for separator in _SEPARATORS:
                made = {f"{a}{separator}{b}" for a, b in zip(inner(first[0]), inner(last[0]), strict=True)}
                yield path(texts), f"{{folder}}{separator}{{name}}", made
    if len(groups) >= 2 and groups[0][-1] < len(columns) - 1:  # folders of slices
        place = groups[0][0]
        folder = "/".join([*(column[0] for column in columns[:place]), "{id}"])
        middle = [
            "*" if place + 1 + number in varying else column[0]
            for number, column in enumerate(columns[place + 1 : -1])
        ]
        yield "/".join([folder, *middle, f"*{files.suffix}"]), "{id}", set(columns[place])


def _stem(path: str) -> str:
    return plain_id(PurePosixPath(path).name)


def _fixed(column: Sequence[str]) -> tuple[str, str]:
    """Return what all names begin and end with, up to a separator: "slice_" of slice_1 and slice_12."""
    begin = os.path.commonprefix(list(column[:_MOST]))
    begin = re.sub(r"[^_\-]*$", "", begin)
    rest = [text[len(begin) :] for text in column[:_MOST]]
    end = os.path.commonprefix([text[::-1] for text in rest])[::-1]
    end = re.sub(r"^[^_\-]*", "", end)
    return (begin, end) if all(text[: len(text) - len(end)] for text in rest) else (begin, "")
