"""A competition's folder: its test images, their ids and sizes. Standard library only.

On Kaggle the fallback is written from this before numpy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.competitions import presets, recognition
from kit.competitions.definition import Definition, Split
from kit.competitions.images_format import SUFFIXES
from kit.competitions.listing import Listing, Size, read_listing, size_of
from kit.competitions.metadata import MetadataReader, table_key
from kit.competitions.parsing import parse
from kit.competitions.path_pattern import PathPattern, is_file, spelled
from kit.competitions.report import Report
from kit.competitions.tables import read_table
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.images.reading import ColourTiffs
from kit.optional import optional_module

if TYPE_CHECKING:
    from kit.images.image_protocols import Reading


class CompetitionFolder:
    """Where a competition's images and tables lie, and what its fallback rows look like.

    It holds no state besides the definition; every method takes the data folder.

    Args:
        definition: the competition's format.
        value: the plain values the definition was made from, for a competition that a TOML file describes.

    Attributes:
        format: the definition.
        definition: `value`; None for a competition the kit knows by name.
        name: short name for command lines and folders, e.g. "kidney".
        slug: Kaggle's name, part of mount paths.
        kind: "semantic" (one mask per image) or "instance" (scored instances).
        columns: header of submission.csv.
        metadata: reads the tables that say more of images than their pixels do.
    """

    def __init__(self, definition: Definition, value: dict[str, Any] | None = None) -> None:
        self.format = definition
        self.definition = value
        self.name, self.slug, self.kind = definition.name, definition.slug, definition.kind
        self.columns = definition.columns
        self.metadata = MetadataReader(definition.metadata)

    @property
    def metric(self) -> str:
        """Return its name, e.g. "mean Dice", "AP@0.6"; only the local side asks."""
        return self.format.metric.text

    def empty_row(self, image_id: str, size: Size) -> dict[str, str]:
        """Return the submission row of an image in which nothing was found."""
        return self.format.submission.row(image_id, size, self.format.submission.empty)

    @property
    def forms(self) -> Any:
        """Return the module `row_forms`, which scripts of competitions with plain rows do without."""
        return optional_module(__package__, "row_forms")

    def empty_rows(self, image_id: str, size: Size, sample: Mapping[Any, Any]) -> list[dict[str, str]]:
        """Return the rows of an image in which nothing was found, or of which nothing is known.

        Args:
            image_id: of the image.
            size: its height and width.
            sample: rows of the sample submission (`row_forms.by_key`); values are taken from there.
        """
        if self.format.plain:
            return [self.empty_row(image_id, size)]
        return self.forms.nothing(self.format, image_id, size, sample)  # type: ignore[no-any-return]

    def is_foreign(self, data: Path) -> bool:
        """Whether a folder looks like the data of a competition with another slug."""
        known = [recognition.signature(parse(value)) for value in presets.PRESETS.values()]
        found = recognition.recognise(data, [recognition.signature(self.format), *known])
        return found is not None and found.slug != self.slug

    def listing(self, data: Path) -> Listing:
        """Return the images to predict and their sizes, as far as names and tables tell; opens no image.

        The ids are those of the sample submission; without any there, those of the files in the test part.
        """
        form, plain, found = self.format.submission, self.format.plain, Listing()
        sample = data / form.sample
        try:
            if is_file(sample):
                found = read_listing(sample, form, self.columns, rows=not plain)
                if not plain:
                    self.forms.take_images(self.format, found)
            what = "has no rows" if is_file(sample) else "is missing"
        except KitError as error:
            what = f"cannot be used: {error.problem}"
        if not found.ids:
            # A name of bytes that are no UTF-8 (here: a lone surrogate) cannot stand in a CSV.
            files = self.image_pattern("test").ids(data)
            found.ids = [image for image in files if image.isprintable()]
            found.notes.append(f"{sample.name} {what}: the ids are the {len(found.ids)} test images' names")
        names = self.format.metadata.columns
        try:
            table = self.metadata.table(data, "test") if names.height else {}
        except KitError:
            table = {}  # as in `info`
        for image in found.ids:
            cells = table.get(table_key(image), {})
            if image not in found.sizes and (
                size := size_of(cells.get(names.height), cells.get(names.width))
            ):
                found.sizes[image] = size
        return found

    def check_folder(self, report: Report, data: Path) -> bool:
        """Return whether a folder holds this competition's data; if not, report what it is instead."""
        known = {name: recognition.signature(parse(value)) for name, value in presets.PRESETS.items()}
        return recognition.check_folder(report, data, recognition.signature(self.format), known)

    def image_pattern(self, split: Split) -> PathPattern:
        """Return where the images of a part lie."""
        images = self.format.images
        text = images.train if split == "train" else images.test
        if images.special:
            made: PathPattern = images.rules.pattern_of(images, text)
            return made
        return PathPattern(text, SUFFIXES)

    @property
    def reading(self) -> Reading:
        """Return what reads the images' files."""
        images = self.format.images
        if images.special:
            made: Reading = images.rules.reading_of(images)
            return made
        return ColourTiffs()

    def image_path(self, data: Path, image_id: str, split: Split) -> Path:
        """Return where an image lies, or would lie according to the definition."""
        return self.image_pattern(split).path(data, image_id)

    def size_of(self, data: Path, image_id: str) -> tuple[int, int]:
        """Return height and width of a training or test image, from its file's header.

        Raises:
            KitError: the image is missing, damaged or of another format than the definition says.
        """
        # An id in both parts means one image, so either file has its size; the check of a folder holds that.
        train = self.image_path(data, image_id, "train")
        facts = self.reading.facts(train if spelled(train) else self.image_path(data, image_id, "test"))
        return facts.height, facts.width

    def test_ids(self, data: Path) -> list[str]:
        """Return the ids to predict: those of the sample submission in its order, else the sorted test files.

        Raises:
            KitError: neither the table nor a test image exists.
        """
        listed = data / self.format.submission.sample
        if listed.is_file():
            rows = read_table(listed, self.columns, key=self.columns[0])
            if self.format.plain:
                return [row.id for row in rows]
            ids = self.forms.row_ids(self.format)
            return list(dict.fromkeys(ids.split(row.cells)[0] for row in rows))
        pattern = self.image_pattern("test")
        found = pattern.ids(data)
        if not found:
            raise KitError(
                f"neither {listed.name} nor images {pattern.text}",
                where=data,
                fix="unpack the data again",
            )
        return found

    def info(self, data: Path, image_id: str, split: Split = "test") -> ImageInfo:
        """Return pixel size, organ and source of an image; what is not known is left out, never an error."""
        return self.metadata.info(data, image_id, split)
