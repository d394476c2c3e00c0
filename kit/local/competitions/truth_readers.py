"""Truth in the forms competitions give it: masks in a table's cells, mask images, polygons, COCO files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kit.competitions import mask_text
from kit.competitions.definition import ID, Definition, Images, Kind, Truth
from kit.competitions.path_pattern import PathPattern
from kit.competitions.tables import read_table
from kit.errors import KitError
from kit.local.competitions import coco_files, mask_images, polygon_files
from kit.local.competitions.annotations import Annotation, distinct
from kit.local.competitions.coco_files import CocoFile, CocoImage
from kit.masks import rle

Role = Literal["scored", "ignored", "left out"]


@dataclass(frozen=True)
class TruthEntry:
    """The truth of one image, as its file holds it.

    Attributes:
        id: of the image.
        where: file, line and id, for messages.
        value: what the reader that made it takes.
    """

    id: str
    where: str
    value: Any


@dataclass(frozen=True)
class Region:
    """One annotated region.

    Attributes:
        runs: its pixels.
        ignored: detections inside are not judged.
    """

    runs: rle.Runs
    ignored: bool = False


class TruthReader(ABC):
    """Reads the truth of one form.

    Args:
        truth: what the definition says of it.
        kind: of the predictions.
    """

    def __init__(self, truth: Truth, kind: Kind) -> None:
        self.truth = truth
        self.kind = kind

    @abstractmethod
    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """The entries of a truth file, not yet decoded; an image may come twice if its file says so.

        Args:
            data: the competition's folder.
            place: `file` or `solution` of the definition.

        Raises:
            KitError: the file is missing or not of the right form.
        """

    @abstractmethod
    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """The regions of one image.

        Raises:
            KitError: an invalid one; names file, line and reason.
        """

    def exists(self, data: Path, place: str) -> bool:
        """Whether there is anything to read."""
        return bool(place) and (
            bool(PathPattern(place).ids(data)) if ID in place else (data / place).is_file()
        )

    def files(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """An entry for each file of a pattern, its path as the value."""
        pattern = PathPattern(place)
        found = pattern.ids(data)
        if not found:
            raise KitError(
                f"there is no file like {place}", where=data, fix="unpack the competition's files again"
            )
        for image_id in found:
            path = pattern.path(data, image_id)
            yield TruthEntry(image_id, str(path), path)


class TextTruth(TruthReader):
    """A CSV with one mask in a row: of a whole image (semantic) or of an instance, ids repeated."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """A row each; for instances, the rows of an image together."""
        rows = read_table(data / place, (self.truth.id, self.truth.mask), more=True, key=self.truth.id)
        if self.kind == "semantic":
            for row in rows:
                yield TruthEntry(row.id, row.where, [(row.where, row.cells[self.truth.mask])])
            return
        together: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            together.setdefault(row.id, []).append((row.where, row.cells[self.truth.mask]))
        for image_id, cells in together.items():
            yield TruthEntry(image_id, cells[0][0], cells)

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """One a cell; none for an empty one."""
        found = [mask_text.read(text, self.truth, height, width, where=where) for where, text in entry.value]
        return [Region(runs) for runs in found if len(runs)]


class ImageTruth(TruthReader):
    """A mask image for each image: anything but zero is foreground; for instances, each value is one."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """A file each."""
        return self.files(data, place)

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """The foreground, or one an instance in the order of their values."""
        label_HW = mask_images.read(entry.value, height, width, self.kind)
        if self.kind == "semantic":
            runs = rle.encode(label_HW != 0)
            return [Region(runs)] if len(runs) else []
        return [Region(runs) for runs in mask_images.runs_by_label(label_HW)]


class AnnotatedTruth(TruthReader):
    """Regions with types, of which the definition says what they count for."""

    @abstractmethod
    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """All of one image, as drawn."""

    def role(self, annotation: Annotation) -> Role:
        """What an annotation counts for: a crowd is no instance, but belongs to the foreground."""
        truth = self.truth
        if annotation.type in truth.ignored:
            return "ignored"
        if truth.scored and annotation.type not in truth.scored:
            return "left out"
        return "ignored" if annotation.crowd and self.kind == "instance" else "scored"

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """One an annotation that is scored or ignored; repeated ones are taken once."""
        found = []
        for annotation in distinct(self.annotations(entry)):
            if (role := self.role(annotation)) != "left out":
                where = f"{entry.where}, annotation {annotation.number}"
                runs = annotation.runs(height, width, where)
                found.append(Region(runs, ignored=role == "ignored"))
        return [region for region in found if len(region.runs)]


class PolygonTruth(AnnotatedTruth):
    """Polygons with types: JSON lines of all images, or a JSON file for each."""

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """A line or file each; its annotations as the value."""
        if ID not in place:
            for image_id, where, value in polygon_files.read_lines(data / place):
                yield TruthEntry(image_id, where, value)
            return
        for entry in self.files(data, place):
            yield TruthEntry(entry.id, entry.where, polygon_files.read_file(entry.value))

    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """Of its line or file."""
        drawn: Sequence[Annotation] = entry.value
        return drawn


class CocoTruth(AnnotatedTruth):
    """One COCO file of all images, whose names give their ids.

    Args:
        truth: what the definition says of it.
        kind: of the predictions.
        images: where they lie.
    """

    def __init__(self, truth: Truth, kind: Kind, images: Images) -> None:
        super().__init__(truth, kind)
        self.images = images

    def entries(self, data: Path, place: str) -> Iterator[TruthEntry]:
        """An image each, those without annotations too."""
        path = data / place
        listed = coco_files.read(path)
        self._require_categories(listed, path)
        pattern = PathPattern(self.images.test if place == self.truth.solution else self.images.train)
        numbers: dict[str, int] = {}
        for image in listed.images:
            where = f"{path}, image {image.number}"
            if (image_id := pattern.id_of(image.file_name)) is None:
                raise KitError(
                    f"file_name is {image.file_name!r}, no image like {pattern.text}",
                    where=where,
                    fix="name files as they lie in the competition's folder; suffixes may differ",
                )
            if image_id in numbers:
                raise KitError(
                    f"image {image_id} is there twice: image {numbers[image_id]} has that file_name, too",
                    where=where,
                    fix="keep one of them, with all annotations",
                )
            numbers[image_id] = image.number
            yield TruthEntry(image_id, f"{path} (id {image_id})", image)

    def annotations(self, entry: TruthEntry) -> Sequence[Annotation]:
        """Of its image."""
        image: CocoImage = entry.value
        return image.annotations

    def regions(self, entry: TruthEntry, height: int, width: int) -> list[Region]:
        """As of any annotations; the file has to tell the image's own size."""
        image: CocoImage = entry.value
        if (image.height, image.width) != (height, width):
            raise KitError(
                f"the COCO file says that this image is {image.height} x {image.width}, "
                f"its own header {height} x {width}",
                where=entry.where,
                fix="annotations have to be drawn on the images at their own size",
            )
        return super().regions(entry, height, width)

    def _require_categories(self, listed: CocoFile, path: Path) -> None:
        """A misspelt name would leave out all its annotations without a word."""
        for name in (*self.truth.scored, *self.truth.ignored):
            if name not in listed.categories:
                raise KitError(
                    f"there is no category {name!r}, which scored or ignored names",
                    where=path,
                    fix=f"the file's categories are: {', '.join(sorted(listed.categories))}",
                )


def reader(definition: Definition) -> TruthReader:
    """The reader of a definition's truth."""
    truth, kind = definition.truth, definition.kind
    match truth.form:
        case "text":
            return TextTruth(truth, kind)
        case "images":
            return ImageTruth(truth, kind)
        case "polygons":
            return PolygonTruth(truth, kind)
        case "coco":
            return CocoTruth(truth, kind, definition.images)
