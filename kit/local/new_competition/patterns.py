"""Guess the pattern of some paths: which parts vary, and how ids are made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
        ids: of the files.
    """

    path: str
    id: str
    matched: float
    ids: frozenset[str]


def pattern_of(files: Files, ids: Sequence[str], template: str = "") -> Pattern:
    """Return the pattern of some files that explains most ids.

    Args:
        files: that lie alike.
        ids: as a table has them; empty if no table does.
        template: how ids are made, if that is known already.
    """
    candidates = list(_candidates(files))
    wanted = {plain_id(image) for image in ids[:_MOST]}
    scored = [
        Pattern(path, template, _share(wanted, found), frozenset(found))
        for path, template, found in candidates
    ]
    return max(scored, key=lambda item: (item.matched, item.id == template))


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


@dataclass(frozen=True)
class _Parts:
    """The parts of some paths, position by position: folders, and the name without its suffix.

    In "stage1_train/a1/images/a1.png" and "stage1_train/b2/images/b2.png" positions 0 and 2 stay the same, 1
    and 3 vary together: one named part is in both places.
    """

    columns: Sequence[tuple[str, ...]]
    suffix: str

    def groups(self) -> list[list[int]]:
        """Return the positions that vary, those that vary together in one list."""
        found: list[list[int]] = []
        varying = [place for place, column in enumerate(self.columns) if len(set(column)) > 1]
        for place in varying or [len(self.columns) - 1]:
            same = next((group for group in found if self.columns[group[0]] == self.columns[place]), None)
            if same is None:
                found.append([place])
            else:
                same.append(place)
        return found

    def path(self, names: Mapping[int, str], around: Mapping[int, tuple[str, str]]) -> str:
        """Return the pattern: positions with a name become parts, the others stay."""
        parts = []
        for place, column in enumerate(self.columns):
            begin, end = around.get(place, ("", ""))
            parts.append(f"{begin}{{{names[place]}}}{end}" if place in names else column[0])
        return "/".join(parts) + self.suffix

    def texts(self, place: int, around: tuple[str, str]) -> list[str]:
        """Return what the part at a position holds in each path."""
        begin, end = around
        return [text[len(begin) : len(text) - len(end)] for text in self.columns[place]]


def _candidates(files: Files) -> Iterable[tuple[str, str, set[str]]]:
    """Yield path, template of ids, and the ids of the files, in every way that competitions know."""
    rows = [(*PurePosixPath(path).parts[:-1], plain_id(PurePosixPath(path).name)) for path in files.paths]
    parts = _Parts(list(zip(*rows, strict=True)), files.suffix)
    groups = parts.groups()
    yield from _of_files(parts, groups, {})
    # A name such as "slice_7" may be a part as a whole, or only the 7 of it.
    inside = {place: _around(parts.columns[group[0]]) for group in groups for place in group}
    if any(inside.values()):
        yield from _of_files(parts, groups, inside)
    first, last = groups[0][0], len(parts.columns) - 1
    if len(groups) >= 2 and groups[0][-1] < last:
        # Folders of slices: "train/{id}/*.dcm".
        between = [
            "*" if any(place in group for group in groups) else parts.columns[place][0]
            for place in range(first + 1, last)
        ]
        outer = [column[0] for column in parts.columns[:first]]
        path = "/".join([*outer, "{id}", *between, f"*{files.suffix}"])
        yield path, "{id}", set(parts.columns[first])


def _of_files(
    parts: _Parts, groups: list[list[int]], around: Mapping[int, tuple[str, str]]
) -> Iterable[tuple[str, str, set[str]]]:
    """Yield the ways in which each file is an image: its name is the id, or several parts make it."""
    none = ("", "")
    last = groups[-1]
    others = {place: f"part{number}" for number, group in enumerate(groups, 1) for place in group}
    own = parts.texts(last[0], around.get(last[0], none))
    yield parts.path({**others, **dict.fromkeys(last, "id")}, around), "{id}", set(own)
    # Folder and file make the id, or all folders and the file.
    chosen = [[group, last] for group in groups[-2::-1]]
    if len(groups) > 2:
        chosen.append(groups)
    for picked in chosen:
        called = ["folder", "name"] if len(picked) == 2 else [f"folder{n}" for n in range(1, len(picked))]
        called = called if len(picked) == 2 else [*called, "name"]
        names = {place: name for name, group in zip(called, picked, strict=True) for place in group}
        texts = [parts.texts(group[0], around.get(group[0], none)) for group in picked[:-1]]
        begin = around.get(last[0], none)[0]
        for separator in _SEPARATORS:
            # "case1_day2_slice_0001" of case1_day2/scans/slice_0001.png: the id may hold "slice_", too.
            for end in dict.fromkeys((separator, separator + begin)):
                template = separator.join(f"{{{name}}}" for name in called[:-1]) + end + "{name}"
                fronts = [separator.join(row) + end for row in zip(*texts, strict=True)]
                made = {front + name for front, name in zip(fronts, own, strict=True)}
                yield parts.path({**others, **names}, around), template, made
                if cut := _cut(fronts, own):
                    path = parts.path({**others, **names}, around)
                    yield path.replace("{name}", "{name}_{rest}"), template, cut
    if cut := _cut([""] * len(own), own):
        path = parts.path({**others, **dict.fromkeys(last, "id")}, around)
        yield path.replace("{id}", "{id}_{rest}"), "{id}", cut


def _cut(fronts: Sequence[str], names: Sequence[str]) -> set[str]:
    """Return the ids if names end with more than the id, such as "0001_266_266"; none if they do not."""
    if not all("_" in name for name in names):
        return set()
    made = {front + name.partition("_")[0] for front, name in zip(fronts, names, strict=True)}
    return made if len(made) == len(names) else set()


def _around(column: Sequence[str]) -> tuple[str, str]:
    """Return what all names begin and end with, up to a separator: "slice_" of slice_1 and slice_12."""
    some = list(column[:_MOST])
    begin = re.sub(r"[^_\-]*$", "", _common(some))
    end = re.sub(r"^[^_\-]*", "", _common([text[len(begin) :][::-1] for text in some])[::-1])
    return (begin, end) if all(len(text) > len(begin) + len(end) for text in some) else (begin, "")


def _common(texts: Sequence[str]) -> str:
    """Return what all texts begin with."""
    low, high = min(texts), max(texts)
    return next((low[:place] for place, letter in enumerate(low) if high[place : place + 1] != letter), low)
