"""Competition data -> checked, divided into folds, laid out for training. After a kill it goes on."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import kit
from kit import competitions
from kit.artefacts import remove_leftovers, sha256_bytes, sha256_file, sha256_json, write_json, write_text
from kit.competitions.tables import header_of
from kit.errors import KitError
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.console import console, progress, show_table, track
from kit.predictions import Instances, Prediction, SemanticMask
from train_local.data import coco, folds, prepared, slides
from train_local.data.prepared import Image, Prepared

_HEADINGS = ("fold", "train", "valid", "groups held out")
_PLACE = {"id", "dataset", "i", "j"}
"""Columns of a tile_meta.csv."""


def prepare(
    competition: str | Path,
    data: Path,
    out: Path,
    *,
    reductions: Sequence[int] = (1,),
    fold_count: int | None = None,
    split: folds.Split | None = None,
    seed: int = 42,
) -> Prepared:
    """Check a competition's folder and write everything training reads.

    Args:
        competition: name in `kit.competitions`, or the TOML file that describes it.
        data: the competition's folder.
        out: the prepared folder; `prepared.json` appears in it last.
        reductions: for slides: source pixels, along one side, in one training pixel; each gives one set of
            arrays.
        fold_count: number of folds; None takes the published number or as many as there are groups.
        split: "group" never splits a slide or WSI; "strips" cuts a WSI into strips of neighbouring tiles;
            "stratified" is the published split of the vasculature. None takes strips for tiles, groups for
            slides.
        seed: of the split.

    Returns:
        What `prepared.json` says.

    Raises:
        KitError: a table or an image is unusable, the folds cannot be made, or the disk is too small.
    """
    source = competitions.get(competition)
    if not data.is_dir():
        raise KitError(
            "data folder is missing", where=data, fix="point --data at the competition's unpacked folder"
        )
    labelled = LabelledData(source, data)
    # All that can fail because of the data or the options comes first; nothing is written before it is done.
    report = check(labelled)
    report.require_ok()
    ids = labelled.train_ids()
    groups = {image_id: labelled.group_of(image_id) for image_id in ids}
    infos = {image_id: source.info(data, image_id, "train") for image_id in ids}
    places = _places(data, ids, needed=source.definition is None)
    positions = {image_id: place.position for image_id, place in places.items()}
    strata = {image_id: info.organ for image_id, info in infos.items()}
    made = folds.make(split, groups, fold_count, positions=positions, strata=strata, seed=seed)
    findings = [str(finding) for finding in report.findings]
    findings += [f"alarm: {text}" for text in folds.hygiene(made, groups)]
    truth = labelled.truth(ids)
    # From here on the folder counts as unfinished until `prepared.json` is there again. Arrays of slides that
    # are still right are kept (see `slides.is_current`), so preparing again after a kill is quick.
    (out / prepared.NAME).unlink(missing_ok=True)
    remove_leftovers(out)

    images = {}
    for image_id in track(ids, total=len(ids), description="hash images"):
        path = source.image_path(data, image_id, "train")
        images[image_id] = Image(
            id=image_id,
            path=path.relative_to(data).as_posix(),
            sha256=sha256_file(path),
            height=truth[image_id].height,
            width=truth[image_id].width,
            group=groups[image_id],
            dataset=places[image_id].dataset if places else None,
            **asdict(infos[image_id]),
        )
    inputs = {f"image:{image_id}": images[image_id].sha256 for image_id in ids}
    inputs |= {f"truth:{image_id}": _truth_hash(truth[image_id]) for image_id in ids}
    result = Prepared(
        root=out,
        competition=source.name,
        kind=source.kind,
        data=data.resolve(),
        images=images,
        folds=made,
        split=split or ("strips" if positions else "group"),
        seed=seed,
        reductions=sorted(set(reductions)) if source.kind == "semantic" else [],
        inputs=inputs,
        findings=findings,
        code_version=kit.__version__,
        definition=source.definition,
    )
    if source.kind == "semantic":
        _write_slides(result, truth)
    else:
        _write_coco(result, truth)
    write_text(out / "report.md", report_text(result))
    prepared.save(result)
    return result


@dataclass(frozen=True)
class _Place:
    """A tile's row in tile_meta.csv."""

    dataset: int
    position: tuple[int, int]


def _places(data: Path, ids: Sequence[str], *, needed: bool) -> dict[str, _Place]:
    """Read where tiles were cut, if the competition says so in a tile_meta.csv; else return {}.

    Args:
        data: the competition's folder.
        ids: of the tiles.
        needed: whether a table without these columns is an error; in other competitions it may mean
            something else.

    Raises:
        KitError: the table lacks a column, holds no numbers or misses a tile.
    """
    path = data / "tile_meta.csv"
    if not path.is_file() or not (needed or set(header_of(path)) >= _PLACE):
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = {row.get("id"): row for row in csv.DictReader(stream)}
    places = {}
    for image_id in ids:
        try:
            row = rows[image_id]
            places[image_id] = _Place(int(row["dataset"]), (int(row["i"]), int(row["j"])))
        except (KeyError, ValueError, TypeError) as error:
            raise KitError(
                f"tile {image_id} has no dataset and position in numbers: {error}",
                where=path,
                fix="download the table again; it has the columns id, source_wsi, dataset, i, j",
            ) from error
    return places


def _truth_hash(truth: Prediction) -> str:
    # Little-endian 64-bit numbers, whatever the machine: the hash is a part of a run's identity.
    if isinstance(truth, SemanticMask):
        return sha256_bytes(f"{truth.height}x{truth.width}:".encode() + truth.runs.astype("<i8").tobytes())
    return sha256_json([truth.height, truth.width, [counts.decode() for counts in truth.masks]])


def _write_slides(made: Prepared, truth: dict[str, Prediction]) -> None:
    """Write the arrays of every slide at every resolution that are not there yet."""
    todo = []
    for reduction in made.reductions:
        for image_id in made.images:
            inputs = {name: made.inputs[f"{name}:{image_id}"] for name in ("image", "truth")}
            files = slides.files_of(made.root, reduction, image_id)
            if not slides.is_current(files, inputs):
                todo.append((reduction, image_id, files, inputs))
    pixels = sum(
        made.images[image_id].height * made.images[image_id].width // reduction**2
        for reduction, image_id, *_ in todo
    )
    made.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(made.root).free
    # Three bytes of colour and one of mask for each training pixel.
    if pixels * 4 > free:
        raise KitError(
            f"the arrays need {pixels * 4 / 2**30:.1f} GiB, the disk has {free / 2**30:.1f} GiB free",
            where=made.root,
            fix="choose an --out on a larger disk, or prepare fewer resolutions with --scale",
        )
    with progress() as display:
        for reduction, image_id, files, inputs in todo:
            mask = truth[image_id]
            assert isinstance(mask, SemanticMask)
            task = display.add_task(f"slide {image_id} at 1/{reduction}", total=mask.height, note="rows")
            slides.write(
                files,
                made.image_path(image_id),
                mask,
                reduction,
                inputs=inputs,
                code_version=kit.__version__,
                on_rows=partial(display.advance, task),
            )


def _write_coco(made: Prepared, truth: dict[str, Prediction]) -> None:
    """Write the annotations of every fold's training images; held-out images are scored against the truth."""
    names = {image_id: image.path for image_id, image in made.images.items()}
    instances = {image_id: item for image_id, item in truth.items() if isinstance(item, Instances)}
    annotations = {
        image_id: coco.annotations_of(image_id, item)
        for image_id, item in track(instances.items(), total=len(instances), description="COCO annotations")
    }
    for fold in made.folds:
        value = coco.training_part(
            {image_id: instances[image_id] for image_id in fold.train},
            annotations,
            names,
            description=f"{made.competition}, fold {fold.index}, train; conventions in coco.py",
        )
        write_json(made.coco_path(fold.index), value)


def _fold_rows(made: Prepared) -> list[tuple[str, str, str, str]]:
    rows = []
    for fold in made.folds:
        held = sorted({made.images[image_id].group for image_id in fold.valid})
        shown = ", ".join(held[:6]) + (" ..." if len(held) > 6 else "")
        rows.append((str(fold.index), str(len(fold.train)), str(len(fold.valid)), shown))
    return rows


def report_text(made: Prepared) -> str:
    """Return what a person wants to know about a prepared folder, as Markdown."""
    groups = {image.group for image in made.images.values()}
    pixels = sum(image.height * image.width for image in made.images.values())
    size = f"{len(made.images)} labelled images, {len(groups)} groups, {pixels / 1e6:.1f} megapixels"
    organs = Counter(image.organ for image in made.images.values() if image.organ)
    lines = [
        f"# {made.competition}: prepared data",
        "",
        f"{size}; split: {made.split}, seed {made.seed}.",
        *(
            [f"Organs: {', '.join(f'{name} {count}' for name, count in sorted(organs.items()))}."]
            * bool(organs)
        ),
        "",
        *(f"| {' | '.join(row)} |" for row in (_HEADINGS, ("---",) * len(_HEADINGS), *_fold_rows(made))),
        "",
        "## Findings",
        "",
        *([f"- {text}" for text in made.findings] or ["- none"]),
    ]
    return "\n".join(lines) + "\n"


def show(made: Prepared) -> None:
    """Print the folds and what was found."""
    title = f"{made.competition}: {len(made.images)} images in {len(made.folds)} folds ({made.split})"
    show_table(title, _HEADINGS, _fold_rows(made))
    screen = console()
    for text in made.findings:
        screen.print(text, style="yellow" if not text.startswith("note") else "", markup=False)
    screen.print(f"prepared data: {made.root}", markup=False)
