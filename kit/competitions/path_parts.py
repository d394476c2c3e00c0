"""Paths with several named parts: id -> path, files on disk -> ids.

With the path "test/{volume}/slice_{slice}.png" and ids "{volume}_{slice}", the id "kidney_1_0007" may mean
test/kidney/slice_1_0007.png or test/kidney_1/slice_0007.png: the one that is there counts. A part that ids do
not have, as in "train/{class}/{id}.jpg" with ids "{id}", is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from kit.competitions.folder_paths import ID
from kit.competitions.path_pattern import PathPattern, any_case, is_name, plain_id, spelled
from kit.errors import KitError

_PART = re.compile(r"\{(\w+)\}")
Split = dict[str, str]
"""Name of a part -> its text."""


@dataclass(frozen=True)
class _Index:
    """The files of a folder: by their ids, and by their ids without suffixes, in small letters."""

    exact: Mapping[str, tuple[Path, ...]]
    plain: Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class PartsPattern(PathPattern):
    """A path below a folder, with named parts.

    Attributes:
        template: how an id is made of them.
        slices: glob of the files of an image that is a folder of slices; empty where it is a file.
    """

    template: str = ID
    slices: str = ""

    def path(self, folder: Path, image_id: str) -> Path:
        """Return the path of an id's file or folder; it need not exist.

        Raises:
            KitError: the id is not made as `template` says, leads out of the folder, or means two files.
        """
        names = list(dict.fromkeys((image_id, plain_id(image_id))))
        found = list(dict.fromkeys(path for name in names for path in self._there(folder, name)))
        if len(found) > 1:
            raise KitError(
                f"the id {image_id!r} means {found[0]} and {found[1]}",
                where=folder,
                fix=f"rename one of them, or change id = {self.template!r} so that parts can be told apart",
            )
        return found[0] if found else folder / self.name(names[-1])

    def name(self, image_id: str) -> str:
        """Return the path below the folder that an id most likely means, whether or not a file is there."""
        # Of "kidney_1_0007" the last "_" is the likeliest place: the numbers of slices have none.
        *_, split = self._splits(image_id)
        return self._filled(split)

    def ids(self, folder: Path) -> list[str]:
        """Return the ids of the files in a folder, sorted; hidden files do not count."""
        _index_of.cache_clear()  # a file may have come or gone in a folder below
        return sorted(self._index(folder).exact)

    def id_of(self, name: str) -> str | None:
        """Return the id that a file's name means, None if it fits no image.

        The suffix may differ, and so may the folders in front of the first named part that ids have.
        """
        path, text = PurePosixPath(name.replace("\\", "/")), PurePosixPath(self.text)
        if not path.name:
            return None
        if text.suffix and not text.name.endswith("}"):
            path, text = path.with_suffix(""), text.with_suffix("")
        used = [place for place, part in enumerate(text.parts) if set(_PART.findall(part)) & self._told]
        tail = text.parts[used[0] :]
        match = _form("/".join(tail)).fullmatch("/".join(path.parts[-len(tail) :]))
        return None if match is None else self.id_in(match)

    @property
    def _told(self) -> set[str]:
        """Return the parts that ids are made of."""
        return set(_PART.findall(self.template))

    @property
    def told_all(self) -> bool:
        """Return whether ids tell each part; else files are looked for."""
        return set(_PART.findall(self.text)) <= self._told

    def id_in(self, match: re.Match[str]) -> str:
        """Return the id of a match of its parts."""
        parts = match.groupdict()
        return _PART.sub(lambda part: parts[part[1]], self.template)

    def _there(self, folder: Path, image_id: str) -> Iterator[Path]:
        """Yield the paths that an id may mean and that are there."""
        splits = self._splits(image_id)
        if self.told_all:
            for split in splits:
                place = spelled(folder / self._filled(split))
                if place is not None and place.is_dir() == bool(self.slices):
                    yield place
            if not self.text.endswith("}") or self.slices:
                return
        # The folder is looked through once. What is not found may have come since then.
        for attempt in range(2):
            index = self._index(folder)
            if found := index.exact.get(image_id) or index.plain.get(plain_id(image_id).lower()):
                yield from found
                return
            if not attempt:
                _index_of.cache_clear()

    def _splits(self, image_id: str) -> list[Split]:
        """Return the ways to take an id apart, the likeliest one last.

        Raises:
            KitError: there is none, or a part is no name in a path.
        """
        pieces = _PART.split(self.template)  # literal, name, literal, name, literal
        found = [
            split
            for split in _ways(image_id, pieces)
            if all(
                text and is_name(text) and not text.startswith((".", "/")) and ".." not in text.split("/")
                for text in split.values()
            )
        ]
        if not found:
            raise KitError(
                f"id {image_id!r} is not made as {self.template!r} says, of parts that files may have",
                where=self.text,
                fix="correct id under [images], or write the image's own id in the row with this one",
            )
        return found

    def _filled(self, split: Split) -> str:
        return _PART.sub(lambda match: split.get(match[1], "*"), self.text)

    def _index(self, folder: Path) -> _Index:
        parts = PurePosixPath(self.text).parts
        fixed = next(place for place, part in enumerate(parts) if "{" in part)
        base = folder.joinpath(*parts[:fixed])
        base = spelled(base) or base
        try:
            stamp = base.stat().st_mtime_ns
        except OSError:
            return _Index({}, {})
        return _index_of(self, base, "/".join(parts[fixed:]), stamp)


def _ways(text: str, pieces: list[str]) -> Iterator[Split]:
    """Yield each way to write a text as literal, part, literal, part ... literal; the first part grows."""
    literal, rest = pieces[0], pieces[1:]
    if not text.startswith(literal):
        return
    text = text[len(literal) :]
    if not rest:
        if not text:
            yield {}
        return
    name = rest[0]
    for end in range(1, len(text) + 1):
        for split in _ways(text[end:], rest[1:]):
            if split.get(name, text[:end]) == text[:end]:  # a part that comes twice is the same both times
                yield {name: text[:end], **split}


def _form(text: str) -> re.Pattern[str]:
    """Return a regular expression of a pattern's paths, with a group for each part."""
    form, pieces = "", _PART.split(text)
    for place, piece in enumerate(pieces):
        if place % 2 == 0:
            form += re.escape(piece)
        elif piece in pieces[1:place:2]:
            form += f"(?P={piece})"
        else:
            # As in `form_of`: no part begins with a dot, because macOS puts "._a.png" beside every "a.png".
            form += f"(?P<{piece}>[^/.][^/]*?)"
    return re.compile(form, re.IGNORECASE)


@lru_cache(maxsize=8)
def _index_of(pattern: PartsPattern, base: Path, text: str, stamp: int) -> _Index:
    """Look through a folder; a new `stamp` (its time of change) misses the cache."""
    del stamp
    wanted, bare = _form(text), text.endswith("}")
    exact: dict[str, tuple[Path, ...]] = {}
    plain: dict[str, tuple[Path, ...]] = {}
    for path in sorted(base.glob(re.sub(r"\*+", "*", "*".join(map(any_case, _PART.split(text)[::2]))))):
        name = path.relative_to(base).as_posix()
        match = wanted.fullmatch(name)
        if match is None or path.is_dir() != bool(pattern.slices):
            continue
        if bare and pattern.suffixes and not name.lower().endswith(pattern.suffixes):
            continue
        key = pattern.id_in(match)
        exact[key] = (*exact.get(key, ()), path)
        short = plain_id(key).lower()
        plain[short] = (*plain.get(short, ()), path)
    return _Index(exact, plain)
