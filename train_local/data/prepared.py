"""`prepared.json` says what `prepare` made; everything that trains reads it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kit import competitions
from kit.artefacts import read_json, sha256_json, write_json
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.typed_json import convert, from_plain, to_plain
from train_local.data.folds import Fold
from train_local.data.seen import definition_seen, metric_seen
from train_local.data.split import require_sound

SCHEMA = 3
NAME = "prepared.json"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image to train on.

    Attributes:
        id: of the competition.
        path: below the competition's folder.
        sha256: of the file.
        height: rows.
        width: columns.
        group: what the group split keeps together.
        dataset: number in the competition's tile_meta.csv; None where there is none.
        pixel_size: micrometres, None if not known.
        organ: as the competition spells it; empty if not known.
        source: where the image comes from; empty if not known.
    """

    id: str
    path: str
    sha256: str
    height: int
    width: int
    group: str
    dataset: int | None = None
    pixel_size: float | None = None
    organ: str = ""
    source: str = ""

    @property
    def info(self) -> ImageInfo:
        """What the engine and the fusion are told of the image."""
        return ImageInfo(self.pixel_size, self.organ, self.source)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The prepared folder.

    Attributes:
        root: the folder itself.
        competition: its name; `source` gives the competition itself.
        kind: of the truth.
        data: the competition's folder, absolute.
        images: all labelled images, by id.
        unlabelled: training images without truth, by id; pseudo labels are made for them.
        folds: of the labelled images.
        split: the rule that made the folds, of `split.Rule`.
        seed: of the split.
        reductions: of the slide arrays there are; empty for tiles, several classes and values.
        sides: of the arrays of whole images there are.
        stains: copies of the images in other stains that there are.
        inputs: name -> sha256 of the competition's tables and images.
        findings: notes and warnings for the report.
        code_version: that made it.
        definition: of a competition that a TOML file describes; None where the name says it all.
        strata: what the folds are stratified by, beside that rule; "" for nothing.
        aliases: identities that runs of earlier versions know the same data by.
    """

    root: Path
    competition: str
    kind: Literal["semantic", "instance", "values"]
    data: Path
    images: dict[str, Image]
    unlabelled: dict[str, Image] = field(default_factory=dict)
    folds: list[Fold]
    split: str
    seed: int
    reductions: list[int]
    sides: list[int] = field(default_factory=list)
    stains: list[str] = field(default_factory=list)
    inputs: dict[str, str]
    findings: list[str] = field(default_factory=list)
    code_version: str
    definition: dict[str, Any] | None = None
    strata: str = ""
    aliases: list[str] = field(default_factory=list)

    @property
    def folds_by(self) -> str:
        """How the folds were made, for people: "group, stratified by class"."""
        return f"{self.split}, stratified by {self.strata}" if self.strata else self.split

    @property
    def source(self) -> Competition:
        """The competition.

        Raises:
            KitError: the kit does not know it, or its definition is wrong.
        """
        return competitions.of(self)

    @property
    def identity(self) -> str:
        """Hash of all that training sees of it: images, truth and folds, wherever the folder lies."""
        return self._identity(definition_seen(self.definition))

    @property
    def former_identity(self) -> str:
        """`identity` as it was when the whole definition counted, with slug and hidden numbers."""
        return self._identity(self.definition)

    def is_known_as(self, identity: str | None) -> bool:
        """Whether a run that names this identity was trained on the same data."""
        return identity in (self.identity, self.former_identity, *self.aliases)

    @property
    def parts(self) -> dict[str, Any]:
        """What `identity` is made of, part by part, for those who compare it (`seen.differences`)."""
        inputs: dict[str, dict[str, str]] = {}
        for name, digest in self.inputs.items():
            inputs.setdefault(name.partition(":")[0], {})[name] = digest
        return {
            "definition": definition_seen(self.definition),
            "metric": metric_seen(self.definition),
            **{name: sha256_json(value) for name, value in (*self._known().items(), *inputs.items())},
        }

    def _identity(self, definition: dict[str, Any] | None) -> str:
        what = {"competition": self.competition, "definition": definition, "inputs": self.inputs}
        return sha256_json({**what, **self._known()})

    def _known(self) -> dict[str, Any]:
        """What training sees beside the content of files."""
        # Not in it: where the folders lie, the seed and name of the split (the folds say what came of them),
        # and the resolutions of the arrays, which a recipe's `data.scale` names.
        every = {**self.images, **self.unlabelled}
        return {
            "infos": {image_id: asdict(image.info) for image_id, image in every.items()},
            "places": {image_id: [image.dataset, image.group] for image_id, image in every.items()},
            "folds": [asdict(fold) for fold in self.folds],
        }

    def fold(self, index: int) -> Fold:
        """Return the fold of an index.

        Raises:
            KitError: there is no such fold.
        """
        if not 0 <= index < len(self.folds):
            raise KitError(
                f"there is no fold {index}: the prepared data has {len(self.folds)}",
                where=self.root / NAME,
                fix=f"use --fold 0 to {len(self.folds) - 1}, or prepare with more folds",
            )
        return self.folds[index]

    def image(self, image_id: str) -> Image:
        """Return a labelled or an unlabelled image.

        Raises:
            KitError: there is none of this id.
        """
        found = self.images.get(image_id) or self.unlabelled.get(image_id)
        if found is None:
            raise KitError(
                f"image {image_id!r} is not prepared", where=self.root / NAME, fix="run `prepare` again"
            )
        return found

    def image_path(self, image_id: str) -> Path:
        """Return where an image's file lies.

        Raises:
            KitError: as `image`.
        """
        return self.data / self.image(image_id).path

    @property
    def coco_path(self) -> Path:
        """Where the COCO annotations of all labelled images lie."""
        return self.root / "coco.json"


def save(prepared: Prepared) -> None:
    """Write `prepared.json`. Call this after everything that it describes is written."""
    value = {
        "schema": SCHEMA,
        **{key: item for key, item in to_plain(prepared).items() if key != "root"},
        **{
            key: [to_plain(images[image_id]) for image_id in sorted(images)]
            for key, images in (("images", prepared.images), ("unlabelled", prepared.unlabelled))
        },
        "identity": prepared.identity,
    }
    write_json(prepared.root / NAME, value)


def aliases_of(root: Path, made: Prepared) -> list[str]:
    """Return the identities by which runs know what lay in a folder before, if training sees no difference.

    A run of the time when the whole definition counted names the hash of the definition of then.
    """
    try:
        before = load(root)
    except KitError:  # not there, damaged, or of images that were moved
        return []
    if before.identity != made.identity:
        return []
    return sorted({before.former_identity, *before.aliases} - {made.identity, made.former_identity})


def require_same(root: Path, competition: str) -> None:
    """Check that a folder is not the prepared data of another competition, which would be lost.

    Raises:
        KitError: it is.
    """
    try:
        value = read_json(root / NAME)
    except KitError:  # not there, or damaged
        return
    found = value.get("competition") if isinstance(value, dict) else None
    if found not in (None, competition):
        raise KitError(
            f"this folder holds the prepared data of {found}",
            where=root,
            fix=f"choose another --out for {competition}, or delete the folder first",
        )


def load(root: Path) -> Prepared:
    """Read and check `prepared.json`.

    Raises:
        KitError: missing, of another schema, with folds that somebody spoilt, or the competition's images are
            no longer where they were.
    """
    path = root / NAME
    if not path.is_file():
        raise KitError(
            "no prepared data here",
            where=path,
            fix="run: python -m train_local prepare COMPETITION --data DIR --out DIR",
        )
    value, fix = read_json(path), "run `prepare` again"
    if isinstance(value, dict):
        value = {"root": root, **{key: item for key, item in value.items() if key != "identity"}}
        for key in ("images", "unlabelled"):
            images = convert(list[Image], value.get(key), key, where=path, fix=fix)
            value[key] = {image.id: image for image in images}
    prepared = from_plain(Prepared, value, where=path, fix=fix, schema=SCHEMA)
    require_sound(prepared.folds, prepared.images, path)
    if not prepared.data.is_dir():
        raise KitError(
            "the competition's folder is no longer there",
            where=prepared.data,
            fix=f"run `prepare {prepared.competition}` again, with --data where it lies now",
        )
    return prepared
