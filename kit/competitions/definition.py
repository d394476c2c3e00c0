"""The format of a competition: the tables of its TOML file as dataclasses.

The competitions that the kit knows by name are written in the same form (`presets`), so a TOML file can
ask for everything that they use. docs/competitions.md explains every key and shows complete files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

from kit.competitions.cells_format import CLASS
from kit.competitions.images_format import Images
from kit.competitions.labels_format import Truth
from kit.competitions.metadata_format import Metadata
from kit.competitions.scoring_format import Metric
from kit.competitions.submission_format import Submission
from kit.typed_json import above, at_least

Kind = Literal["semantic", "instance", "values"]
Split = Literal["train", "test"]
"""The images with truth, or those to predict."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The format of a competition; `rules` says what else holds for it.

    Attributes:
        name: short name for command lines and folders.
        slug: Kaggle's name, as in the competition's address.
        kind: "semantic": one mask per image, or one for each class; "instance": any number of scored masks
            per image; "values": numbers or words about an image.
        classes: names of the classes; empty where there is one that needs no name.
        targets: for "values": names of what is predicted of an image; by default the classes. With both, the
            targets hold words, which are names of classes.
        images: where the images lie.
        truth: where the truth is and how it is written.
        submission: columns and mask text of submission.csv.
        metric: how predictions are scored.
        metadata: pixel sizes, organs and groups.
        marks: further files or folders that only this competition has; they help to recognise its folder.
        hidden_images: number of images in the hidden run, if anybody knows.
        hidden_megapixels: of all of them together, if anybody knows.
        server: how a gateway asks for predictions, see `kit.competitions.server`; None: they go to a file.
    """

    name: str
    slug: str
    kind: Kind
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    images: Images
    truth: Truth
    submission: Submission
    metric: Metric
    metadata: Metadata = field(default_factory=Metadata)
    marks: tuple[str, ...] = ()
    hidden_images: Annotated[int, at_least(1)] | None = None
    hidden_megapixels: Annotated[float, above(0)] | None = None
    server: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.kind == "values" and not self.targets:
            object.__setattr__(self, "targets", self.classes)

    @property
    def module(self) -> str:
        """Return the module of `kit.competitions` that knows rows like these."""
        return self.kind if self.plain or self.kind == "values" else f"{self.kind}_rows"

    @property
    def plain(self) -> bool:
        """Whether each image has one row, with its mask or instances of one class.

        Scripts of other competitions carry `row_forms`, too.
        """
        return self.kind != "values" and not self.classes and self.submission.plain

    @property
    def words(self) -> bool:
        """Whether the targets of values hold words, the names of classes, instead of numbers."""
        return self.kind == "values" and bool(self.classes) and self.targets != self.classes

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Return how classes, or the targets of values, are called in the submission."""
        names = self.targets if self.kind == "values" else self.classes
        return self.submission.labels or names or (self.submission.label,)

    @cached_property
    def cells(self) -> tuple[str, ...]:
        """Return the columns of the submission that hold masks or values."""
        pattern = self.submission.value if self.kind == "values" else self.submission.mask
        return tuple(dict.fromkeys(pattern.replace(CLASS, label) for label in self.labels))

    @cached_property
    def numbers(self) -> set[str]:
        """Return the columns of the submission that hold numbers with a fraction."""
        values = self.cells if self.kind == "values" and not self.words else ()
        return {self.submission.score, *values} - {""}

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return the header of the submission."""
        form = self.submission
        names = (form.id, form.class_column, form.height, form.width, form.score, *self.cells)
        return tuple(name for name in names if name)
