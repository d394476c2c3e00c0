"""Competition data -> checked, divided into folds, laid out for training. After a kill it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NotRequired, TypedDict, TypeVar, Unpack

import kit
from kit.artefacts import remove_leftovers, sha256_bytes, sha256_json, write_json, write_text
from kit.predictions import ClassMasks, Instances, Prediction, SemanticMask, Values
from train_local.claims import DONE
from train_local.data import array_jobs, coco, content, prepared, processes, split
from train_local.data.array_jobs import ArrayJob
from train_local.data.content import Content
from train_local.data.inspection import Inspection, inspect
from train_local.data.preparation_report import report_text
from train_local.data.prepared import Image, Prepared
from train_local.places import require_data, require_folder, require_outside

Read = TypeVar("Read")
_SEED = 42


class Choices(TypedDict):
    """What may be chosen of a preparation.

    Attributes:
        reductions: for slides: source pixels, along one side, in one training pixel; each gives one set of
            arrays. Default: (1,).
        sides: for whole images: sides of the squares that they are resized to. Default: none.
        stains: folder with copies of the images in other stains, <stain>/<id>.png. Default: None.
        published_stains: names of those that recipes were published with. Of a competition that the kit knows
            by name a finding lists the missing ones. Default: none.
        fold_count: number of folds; None (default) takes the published number or as many as there are groups.
        rule: of `split.make`; None (default) takes the published folds if these are the published images.
        seed: of the split. Default: 42.
        keep_repeats: keep an outline that is there twice as two, as the published pipeline did. Default:
            True.
    """

    reductions: NotRequired[Sequence[int]]
    sides: NotRequired[Sequence[int]]
    stains: NotRequired[Path | None]
    published_stains: NotRequired[Sequence[str]]
    fold_count: NotRequired[int | None]
    rule: NotRequired[split.Rule | None]
    seed: NotRequired[int]
    keep_repeats: NotRequired[bool]


def prepare(
    competition: str | Path,
    data: Path,
    out: Path,
    *,
    jobs: int | None = None,
    **choices: Unpack[Choices],
) -> Prepared:
    """Check a competition's folder and write everything training reads.

    Args:
        competition: name in `kit.competitions`, or the TOML file that describes it.
        data: the competition's folder.
        out: the prepared folder; `prepared.json` appears in it last.
        jobs: processes; the result does not depend on it. None takes the processors for much data.
        choices: see `Choices`.

    Returns:
        What `prepared.json` says.

    Raises:
        KitError: a table or an image is unusable, the folds cannot be made, a picture is on both sides of a
            fold under two ids, `out` is a file, inside `data` or another competition's, or the disk
            is full.
    """
    # All that can fail because of the data or the options comes first; nothing is written before it is done.
    _require_places(data, out)
    look = _look(competition, data, choices)
    prepared.require_same(out, look.source.name)
    contents = _read(look, look.ids, content.content_of, jobs)
    others, faults = _unlabelled(look, jobs)
    same = content.duplicates({**contents, **others}, look.source.reading)
    alarms = content.check_duplicates(same, look.split.folds, data)
    result = _describe(
        look,
        out,
        choices,
        images={image_id: _image(look, image_id, contents[image_id]) for image_id in sorted(look.ids)},
        unlabelled={image_id: _image(look, image_id, read) for image_id, read in sorted(others.items())},
        inputs=_inputs(look, contents, others, jobs),
        findings=[*look.findings, *alarms, *faults],
    )
    todo = array_jobs.plan(result, look.truth, look.stains)
    array_jobs.require_space(todo, out)
    # From here on the folder counts as unfinished until `prepared.json` is there again. Arrays that are still
    # right are kept, so preparing again after a kill is quick.
    # What `train-all` noted of an earlier preparation holds no longer either.
    result = replace(result, aliases=prepared.aliases_of(out, result))
    for name in (prepared.NAME, DONE):
        (out / name).unlink(missing_ok=True)
    remove_leftovers(out)
    if result.kind == "semantic":
        array_jobs.write_all(todo, jobs)
    elif result.kind == "instance" and not look.source.format.classes:
        write_json(result.coco_path, _coco(result, look.truth))
    write_text(out / "report.md", report_text(result))
    prepared.save(result)
    return result


def plan(
    competition: str | Path, data: Path, out: Path, **choices: Unpack[Choices]
) -> tuple[Prepared, list[ArrayJob]]:
    """Return what `prepare` would make of a folder, and the arrays; nothing is hashed or written.

    Arguments and errors as of `prepare`; a picture with two ids is not found.
    """
    _require_places(data, out)
    look = _look(competition, data, choices)
    prepared.require_same(out, look.source.name)
    images = {}
    for image_id in sorted(look.ids):
        read = Content(look.path(image_id), "", *look.size(image_id), "")
        images[image_id] = _image(look, image_id, read)
    names = [f"{what}:{image_id}" for what in ("image", "truth") for image_id in look.ids]
    names += [f"stain:{stain}:{image_id}" for stain in look.stains for image_id in look.ids]
    made = _describe(
        look,
        out,
        choices,
        images=images,
        unlabelled={},
        inputs=dict.fromkeys(names, ""),
        findings=look.findings,
    )
    return made, array_jobs.plan(made, look.truth, look.stains)


def _require_places(data: Path, out: Path) -> None:
    require_data(data)
    require_folder("--out", out)
    require_outside("--out", out, data)


def _look(competition: str | Path, data: Path, choices: Choices) -> Inspection:
    return inspect(
        competition,
        data,
        fold_count=choices.get("fold_count"),
        rule=choices.get("rule"),
        seed=choices.get("seed", _SEED),
        stains=choices.get("stains"),
        keep_repeats=choices.get("keep_repeats", True),
    )


def _describe(
    look: Inspection,
    out: Path,
    choices: Choices,
    *,
    images: dict[str, Image],
    unlabelled: dict[str, Image],
    inputs: dict[str, str],
    findings: list[str],
) -> Prepared:
    # Recipes are of one class. Who trains a model of one's own on several reads images and truth as they are.
    semantic = look.source.kind == "semantic" and not look.source.format.classes
    return Prepared(
        root=out,
        competition=look.source.name,
        kind=look.source.kind,
        data=look.data.resolve(),
        images=images,
        unlabelled=unlabelled,
        folds=look.split.folds,
        split=look.split.rule,
        strata=look.split.strata,
        seed=choices.get("seed", _SEED),
        reductions=sorted(set(choices.get("reductions", (1,)))) if semantic else [],
        sides=sorted(set(choices.get("sides", ()))) if semantic else [],
        stains=sorted(look.stains),
        inputs=inputs,
        findings=[*findings, *_missing_stains(look, choices)],
        code_version=kit.__version__,
        definition=look.source.definition,
    )


def _missing_stains(look: Inspection, choices: Choices) -> list[str]:
    missing = [name for name in choices.get("published_stains", ()) if name not in look.stains]
    # The stains are of tissue of the competitions that the recipes were published for.
    if not missing or look.source.definition is not None:
        return []
    told = f"note: recipes were published with copies of the images in the stains {', '.join(missing)}"
    how = "which are not here (`stain` makes copies, --stains takes them)"
    return [f"{told}, {how}; without any, recipes train on the originals alone"]


def _read(
    look: Inspection, ids: Sequence[str], read: Callable[..., Read], jobs: int | None
) -> dict[str, Read]:
    paths = [look.path(image_id) for image_id in ids]
    workers = processes.number(jobs, sum(path.stat().st_size for path in paths))
    work = partial(read, reading=look.source.reading)
    return dict(zip(ids, processes.each(work, paths, jobs=workers, description="hash images"), strict=True))


def _unlabelled(look: Inspection, jobs: int | None) -> tuple[dict[str, Content], list[str]]:
    """The content of images without truth, and alarms about those that cannot be read: they are left out."""
    found = _read(look, look.unlabelled, content.content_or_fault, jobs)
    faults = [
        f"alarm: an image without truth is left out: {item}"
        for item in found.values()
        if isinstance(item, str)
    ]
    return {key: item for key, item in found.items() if isinstance(item, Content)}, faults


def _image(look: Inspection, image_id: str, read: Content) -> Image:
    place = look.places.get(image_id)
    return Image(
        id=image_id,
        path=read.path.relative_to(look.data).as_posix(),
        sha256=read.sha256,
        height=read.height,
        width=read.width,
        group=look.groups.get(image_id, place.wsi if place else image_id),
        dataset=place.dataset if place else None,
        **asdict(look.source.info(look.data, image_id, "train")),
    )


def _inputs(
    look: Inspection, contents: Mapping[str, Content], others: Mapping[str, Content], jobs: int | None
) -> dict[str, str]:
    """Name -> hash of everything that training reads."""
    inputs = {f"image:{image_id}": contents[image_id].sha256 for image_id in look.ids}
    inputs |= {f"truth:{image_id}": truth_hash(look.truth[image_id]) for image_id in look.ids}
    inputs |= {f"unlabelled:{image_id}": read.sha256 for image_id, read in others.items()}
    copies = {
        f"stain:{stain}:{image_id}": path
        for stain, paths in look.stains.items()
        for image_id, path in paths.items()
    }
    workers = processes.number(jobs, sum(path.stat().st_size for path in copies.values()))
    hashes = processes.each(
        content.hash_of, list(copies.values()), jobs=workers, description="hash stained copies"
    )
    return inputs | dict(zip(copies, hashes, strict=True))


def truth_hash(truth: Prediction) -> str:
    """Return a hash of the truth of an image."""
    # Little-endian 64-bit numbers, whatever the machine: the hash is a part of a run's identity.
    if isinstance(truth, Values):
        return sha256_json(truth.values)
    if isinstance(truth, ClassMasks):
        masks = {name: sha256_bytes(runs.astype("<i8").tobytes()) for name, runs in truth.masks.items()}
        return sha256_json([truth.height, truth.width, masks])
    if isinstance(truth, SemanticMask):
        return sha256_bytes(f"{truth.height}x{truth.width}:".encode() + truth.runs.astype("<i8").tobytes())
    plain = [truth.height, truth.width, [counts.decode() for counts in truth.masks]]
    # Labels of one class are all 0 and say nothing: hashes of older preparations stay as they are.
    return sha256_json([*plain, truth.labels.tolist()] if truth.labels.any() else plain)


def _coco(made: Prepared, truth: Mapping[str, Prediction]) -> object:
    names = {image_id: image.path for image_id, image in made.images.items()}
    instances = {image_id: item for image_id in made.images if isinstance(item := truth[image_id], Instances)}
    return coco.whole(instances, names, description=f"{made.competition}; conventions in coco.py")
