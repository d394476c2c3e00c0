"""Read truth: masks in a table's cells, mask images, polygons, COCO files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kit.competitions import mask_text
from kit.competitions.definition import Kind
from kit.competitions.images_format import Images
from kit.competitions.labels_format import Truth
from kit.competitions.path_pattern import PathPattern, plain_id, spelled
from kit.competitions.table_rules import ID_PART
from kit.competitions.tables import Row, read_table
from kit.errors import KitError
from kit.local.competitions import coco_files, mask_images, mask_values, named_images, polygon_files
from kit.local.competitions.annotations import Annotation, distinct
from kit.local.competitions.coco_files import CocoFile, CocoImage
from kit.local.competitions.remarks import Remarks
from kit.masks import rle

Role = Literal["scored", "ignored", "left out"]


@dataclass(frozen=True)
class TruthEntry:
    """The truth of one image as its file holds it, not yet decoded.

    Attributes:
        id: of the image.
        where: file, line and id, for messages; each entry of a folder has another one.
        value: text, path or annotations, for the reader that made the entry.
    """

    id: str
    where: str
    value: Any


@dataclass(frozen=True)
class Region:
    """One annotated region.

    Attributes:
        runs: its pixels.
        ignored: detections inside are neither right nor wrong.
        label: number of its class.
    """

    runs: rle.Runs
    ignored: bool = False
    label: int = 0


class TruthReader(ABC):
    """Reads the truth of one form.

    Args:
        truth: that part of the competition's definition.
        kind: of the competition.

    Attributes:
        remarks: what `entries` and `regions` assumed or left out so far.
        united: whether the rows of one image in a table, or its lines in JSON lines, belong together.
        twice: what to do if an image is there twice.
    """

    twice = "keep all of its regions, in one place"

    special: Images | None = None

    def __init__(self, truth: Truth, kind: Kind) -> None:
        self.truth = truth
        self.kind = kind
        self.remarks = Remarks()
        self.united = (truth.rows or ("object" if kind == "instance" else "image")) == "object"

    @abstractmethod
    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield the entries of a truth file. An id that is twice in the file is yielded twice.

        Args:
            data: the competition's folder.
            place: `file` or `solution` of the definition.

        Raises:
            KitError: the file is missing or has another form.
        """

    @abstractmethod
    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return the regions of one image.

        Raises:
            KitError: a region is invalid; names file, line and reason.
        """

    def pattern(self, place: str) -> PathPattern:
        """Return the pattern of a path with named parts: those of the images' own paths."""
        images = self.special
        return PathPattern(place) if images is None else images.rules.pattern_of(images, place)

    def exists(self, data: Path, place: str) -> bool:
        """Return whether there is a file to read."""
        return bool(place) and (
            bool(self.pattern(place).ids(data)) if "{" in place else file_at(data, place).is_file()
        )

    def files(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield an entry for each file of a path pattern, with its path as the value."""
        pattern = self.pattern(place)
        found = pattern.ids(data)
        if not found:
            raise KitError(
                f"there is no file {place}", where=data, fix="unpack the competition's files again"
            )
        for image_id in found:
            path = pattern.path(data, image_id)
            yield TruthEntry(image_id, str(path), path)


class TextTruth(TruthReader):
    """A CSV with one mask per row: of a whole image, or of one object (ids are repeated)."""

    twice = (
        'write rows = "object" under [truth] if a row holds one object or class of its image, so that their '
        "masks are united; remove a row only if it repeats another one"
    )

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield one entry per row, or one per image with all its rows where a row holds one object."""
        rows = rows_of(file_at(data, place), self.truth, [self.truth.mask])
        if not self.united:
            for row in rows:
                yield TruthEntry(row.id, row.where, [(row.where, row.cells[self.truth.mask])])
            return
        # Rows a, b, a give the entries a (two cells) and b: the rows of an image need not be neighbours.
        together: dict[str, TruthEntry] = {}
        for row in rows:
            entry = together.setdefault(plain_id(row.id), TruthEntry(row.id, row.where, []))
            entry.value.append((row.where, row.cells[self.truth.mask]))
        yield from together.values()

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return one region per cell; an empty cell has none."""
        found = [mask_text.read(text, self.truth, height, width, where=where) for where, text in entry.value]
        return [Region(runs) for runs in found if len(runs)]


class ImageTruth(TruthReader):
    """One mask image per image: all values but zero are foreground, or each value is an instance."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield one entry per file."""
        return self.files(data, place)

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return the foreground, or one region per instance in the order of their values."""
        image = mask_images.read(entry.value, height, width, self.remarks)
        label_HW = mask_values.labels(image, self.kind, self.remarks)
        if self.kind == "semantic":
            runs = rle.encode(label_HW != 0)
            return [Region(runs)] if len(runs) else []
        return [Region(runs) for runs in mask_values.runs_by_label(label_HW)]


class AnnotatedTruth(TruthReader):
    """Regions with types; the definition says which types are scored or ignored.

    Attributes:
        keep_repeats: whether an annotation that repeats an earlier one of its image is an instance as well.
        labels: types that are classes, in the definition's order; empty where there is one class.
    """

    keep_repeats = False
    labels: tuple[str, ...] = ()

    @abstractmethod
    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """Return all annotations of one image, as drawn."""

    def role(self, annotation: Annotation) -> Role:
        """Return what an annotation counts for."""
        # With scored = ["cell"] and ignored = ["blurred"]:
        #
        #     kind       cell     cell, a crowd                   blurred   debris
        #     instance   scored   ignored (not one instance)      ignored   left out
        #     semantic   scored   scored (it is foreground)       -         left out
        truth = self.truth
        if annotation.type in truth.ignored:
            return "ignored"
        if (scored := truth.scored or self.labels) and annotation.type not in scored:
            return "left out"
        return "ignored" if annotation.crowd and self.kind == "instance" else "scored"

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return one region per annotation that is scored or ignored."""
        found = []
        drawn = self.annotations(entry)
        for annotation in drawn if self.keep_repeats else distinct(drawn):
            if (role := self.role(annotation)) != "left out":
                where = f"{entry.where}, {annotation.place}"
                runs = annotation.runs(height, width, where, self.remarks)
                # A polygon smaller than a pixel covers none; as an instance it could never be found.
                if len(runs):
                    known = annotation.type in self.labels
                    label = self.labels.index(annotation.type) if known else 0
                    found.append(Region(runs, ignored=role == "ignored", label=label))
                else:
                    self.remarks.note("annotations cover no pixel of their image and are left out", where)
        return found


class PolygonTruth(AnnotatedTruth):
    """Polygons with types: JSON lines for all images, or one JSON file per image."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield one entry per line or file, with its annotations as the value."""
        if "{" not in place:
            for image_id, where, value in polygon_files.read_lines(file_at(data, place)):
                yield TruthEntry(image_id, where, value)
            return
        for entry in self.files(data, place):
            yield TruthEntry(entry.id, entry.where, polygon_files.read_file(entry.value, self.remarks))

    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """Return the annotations of a line or file."""
        drawn: Sequence[Annotation] = entry.value
        return drawn


class CocoTruth(AnnotatedTruth):
    """One COCO file for all images; their file names tell the ids.

    Args:
        truth: that part of the competition's definition.
        kind: of the competition.
        images: where the images lie.
    """

    def __init__(self, truth: Truth, kind: Kind, images: Images) -> None:
        super().__init__(truth, kind)
        self.images = images

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """Yield one entry per image, also for images without annotations."""
        path = file_at(data, place)
        listed = coco_files.read(path, self.remarks)
        self._require_categories(listed, path)
        # The file names say "masks/a.png" or "a.tif"; what counts is the id of the image they mean.
        pattern = self.pattern(self.images.test if place == self.truth.solution else self.images.train)
        numbers: dict[str, int] = {}
        for image in listed.images:
            where = f"{path}, image {image.number}"
            if (image_id := named_images.id_of(pattern, image.file_name)) is None:
                raise KitError(
                    f"file_name is {image.file_name!r}, which does not fit {pattern.text}",
                    where=where,
                    fix="write the name that the file has in the competition's folder; the suffix may differ",
                )
            if image_id in numbers:
                raise KitError(
                    f"image {image_id} is there twice: image {numbers[image_id]} has this file_name, too",
                    where=where,
                    fix="keep one of them, with the annotations of both",
                )
            numbers[image_id] = image.number
            yield TruthEntry(image_id, f"{path} (id {image_id})", image)

    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """Return the annotations of an image."""
        image: CocoImage = entry.value
        return image.annotations

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """Return regions as for all annotations; the size in the file has to be that of the image."""
        image: CocoImage = entry.value
        if (image.height, image.width) != (height, width):
            raise KitError(
                f"the COCO file says that this image has {image.height} x {image.width} pixels, "
                f"but its header says {height} x {width}",
                where=entry.where,
                fix="write the annotations at the size of the image file",
            )
        return super().regions(entry, height, width)

    def _require_categories(self, listed: CocoFile, path: Path) -> None:
        """Raise a `KitError` for an unknown name: a misspelt one would silently drop its annotations."""
        for name in (*self.truth.scored, *self.truth.ignored, *self.labels):
            if name not in listed.categories:
                raise KitError(
                    f"the definition names {name!r}, but there is no such category",
                    where=path,
                    fix=f"the file's categories are: {', '.join(sorted(listed.categories))}",
                )


def rows_of(path: Path, truth: Truth, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a table with truth; the column `truth.id` of each holds its id.

    Where the id stands in several columns, `truth.id` says how it is made: "{series}_{slice}".

    Args:
        path: the table.
        truth: that part of the definition.
        columns: that it has to have beside the ids.

    Raises:
        KitError: the table cannot be read, or has no such columns.
    """
    parts = ID_PART.findall(truth.id)
    if not parts:
        return read_table(path, (truth.id, *columns), more=True, key=truth.id)
    wanted = list(dict.fromkeys((*parts, *columns)))
    rows = read_table(path, wanted, more=True, key=parts[0])
    return [replace(row, key=truth.id, cells={**row.cells, truth.id: _joined(truth.id, row)}) for row in rows]


def _joined(template: str, row: Row) -> str:
    """Return the id that the columns of a row make."""
    return ID_PART.sub(lambda part: row.cells[part[1]].strip(), template)


def file_at(data: Path, place: str) -> Path:
    """Return the path of a file with truth; its name on disk may differ in case."""
    return spelled(data / place) or data / place
