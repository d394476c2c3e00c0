"""All that can be wrong with a competition's folder or its folds, found before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit import competitions
from kit.competitions.competition import Competition
from kit.competitions.path_pattern import plain_id
from kit.competitions.tables import header_of, read_table
from kit.errors import KitError
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.predictions import Prediction, Values
from train_local.data import split, strata, whole_images
from train_local.data.split import Labelled, Split
from train_local.places import require_data

_PLACE = {"id", "dataset", "i", "j"}
"""Columns of a tile_meta.csv."""


@dataclass(frozen=True)
class Place:
    """A tile's row in tile_meta.csv.

    Attributes:
        dataset: its number.
        position: i and j, in pixels.
        wsi: the slide.
    """

    dataset: int
    position: tuple[int, int]
    wsi: str


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A folder that can be prepared.

    Attributes:
        source: the competition.
        data: its folder.
        ids: of the labelled images, in the order of the competition's table.
        unlabelled: ids of the training images without truth.
        places: of tiles, by id; empty in a competition without.
        truth: of the labelled images.
        groups: id -> what an honest split keeps together.
        split: the folds.
        stains: stain -> id -> file of the copy.
        findings: notes and alarms.
    """

    source: Competition
    data: Path
    ids: list[str]
    unlabelled: list[str]
    places: Mapping[str, Place]
    truth: Mapping[str, Prediction]
    groups: Mapping[str, str]
    split: Split
    stains: Mapping[str, Mapping[str, Path]]
    findings: list[str]

    def path(self, image_id: str) -> Path:
        """Return where a training image lies."""
        return self.source.image_path(self.data, image_id, "train")

    def size(self, image_id: str) -> tuple[int, int]:
        """Return height and width of a labelled image; values do not tell them, its header does."""
        return _size(self.source, self.data, self.truth, image_id)


def inspect(
    competition: str | Path,
    data: Path,
    *,
    fold_count: int | None = None,
    rule: split.Rule | None = None,
    seed: int = 42,
    stains: Path | None = None,
    keep_repeats: bool = True,
) -> Inspection:
    """Check a folder and make its folds; nothing is written. Arguments as in `prepare.prepare`.

    Raises:
        KitError: a table or an image is unusable, or the folds cannot be made.
    """
    source = competitions.get(competition)
    require_data(data)
    labelled = LabelledData(source, data, keep_repeats=keep_repeats)
    report = check(labelled)
    report.require_ok()
    every = source.image_pattern("train").ids(data)
    places = _places(data, needed=source.definition is None)
    ids = _in_table_order(labelled.train_ids(), places)
    known = {plain_id(image_id).lower() for image_id in ids}
    unlabelled = [image_id for image_id in every if plain_id(image_id).lower() not in known]
    for image_id in ids if places else ():
        _require_place(places, image_id, data)
    truth = labelled.truth(ids)
    groups = {image_id: labelled.group_of(image_id) for image_id in ids}
    of_values = strata.of_values(truth)
    images = Labelled(
        groups=groups,
        organs=of_values.of or {image_id: source.info(data, image_id, "train").organ for image_id in ids},
        strata=of_values.by or "organ",
        datasets={image_id: places[image_id].dataset for image_id in ids} if places else {},
        areas={image_id: _area(places[image_id], *_size(source, data, truth, image_id)) for image_id in ids}
        if places
        else {},
    )
    made = split.make(rule, source.name, images, fold_count, seed=seed)
    split.require_sound(made.folds, truth, data)
    return Inspection(
        source=source,
        data=data,
        ids=ids,
        unlabelled=unlabelled,
        places=places,
        truth=truth,
        groups=groups,
        split=made,
        stains=whole_images.find_stains(stains, ids) if stains is not None else {},
        findings=[*map(str, report.findings), *made.notes],
    )


def _size(source: Competition, data: Path, truth: Mapping[str, Prediction], image_id: str) -> tuple[int, int]:
    known = truth[image_id]
    return source.size_of(data, image_id) if isinstance(known, Values) else (known.height, known.width)


def _area(place: Place, height: int, width: int) -> tuple[int, int, int, int]:
    return (*place.position, width, height)


def _in_table_order(ids: Sequence[str], places: Mapping[str, Place]) -> list[str]:
    """The published folds depend on the order of tile_meta.csv's rows."""
    rank = {image_id: number for number, image_id in enumerate(places)}
    return sorted(ids, key=lambda image_id: (rank.get(image_id, len(rank)), image_id))


def _places(data: Path, *, needed: bool) -> dict[str, Place]:
    """Read where tiles were cut, if the competition says so in a tile_meta.csv; else return {}.

    Args:
        data: the competition's folder.
        needed: whether a table without these columns is an error; in other competitions it may mean
            something else.

    Raises:
        KitError: the table lacks a column or holds no numbers.
    """
    path = data / "tile_meta.csv"
    if not path.is_file() or not (needed or set(header_of(path)) >= _PLACE):
        return {}
    places = {}
    for row in read_table(path, sorted(_PLACE), more=True):
        try:
            position = (int(row.cells["i"]), int(row.cells["j"]))
            places[row.id] = Place(int(row.cells["dataset"]), position, row.cells.get("source_wsi", ""))
        except ValueError as error:
            raise KitError(
                f"tile {row.id} has no dataset and position in numbers: {error}",
                where=row.where,
                fix="download the table again; it has the columns id, source_wsi, dataset, i, j",
            ) from error
    return places


def _require_place(places: Mapping[str, Place], image_id: str, data: Path) -> None:
    if image_id not in places:
        raise KitError(
            f"tile {image_id} has no row",
            where=data / "tile_meta.csv",
            fix="download the table again; it has the columns id, source_wsi, dataset, i, j",
        )
