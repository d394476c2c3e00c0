"""Check of a whole data folder before training: layout, tables, image headers and truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from kit.competitions.competition import Competition
from kit.competitions.definition import Split
from kit.competitions.path_parts import PartsPattern
from kit.competitions.path_pattern import PathPattern, plain_id, spelled
from kit.competitions.report import Report
from kit.competitions.submissions import repeated
from kit.competitions.tables import header_of
from kit.errors import KitError
from kit.local.competitions import image_levels, metadata_tables, scores
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.remarks import Remarks
from kit.local.wording import counted

Sizes = dict[str, tuple[int, int]]


def check(labelled: LabelledData) -> Report:
    """Check layout, tables, images (headers) and truth of a folder; never raises for bad data.

    Args:
        labelled: the folder; truth decoded here is not decoded again when it is asked for.
    """
    report = Report(str(labelled.data))
    if not labelled.competition.check_folder(report, labelled.data):
        return report
    test = _check_test(report, labelled)
    train = _check_train(report, labelled)
    # Public test images are often copies of training images, so "aa" may be in both parts. But if their sizes
    # differ, they are two images, and a score would compare a prediction of one with the truth of the other.
    for image_id in [key for key in test if train.get(key, test[key]) != test[key]]:
        text = f"{image_id} is the id of a training image and of another one to predict"
        report.error(text, str(labelled.data), "rename one of them: truth and scores go by the id alone")
    return report


def _check_test(report: Report, labelled: LabelledData) -> Sizes:
    """Check the images to predict; return the sizes of those that can be used."""
    competition, data = labelled.competition, labelled.data
    try:
        ids = competition.test_ids(data)
    except KitError as error:
        if not _lists_nothing(competition, data):
            report.take(error)
            return {}
        fix = "only Kaggle's hidden run has images then; a rehearsal needs a sample submission with rows"
        report.alarm("no image to predict is listed", str(error.where or data), fix)
        ids = []
    listed = data / competition.format.submission.sample
    for image_id in repeated(ids):
        fix = "the kit writes one row for each image; where each object needs a row, it cannot predict"
        report.error(f"id {image_id} is there twice", str(listed), fix)
    sizes = _check_headers(report, labelled, dict.fromkeys(ids), "test")
    report.facts["test images"] = float(len(sizes))
    metadata_tables.check(report, competition.metadata, data, "test", sizes)
    pattern = competition.image_pattern("test")
    unlisted = _others(pattern, data, ids)
    if competition.format.images.train == competition.format.images.test:
        # Both parts lie in one folder: only the table of the truth tells which images are of training.
        try:
            trained = {plain_id(entry.id).lower() for entry in labelled.entries(labelled.files[0])}
        except KitError:
            trained = set()  # `_check_train` tells
        unlisted = [name for name in unlisted if plain_id(name).lower() not in trained]
    if unlisted:
        more = f" and {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
        name = pattern.name(unlisted[0])
        text = f"image {name}{more} is not in {listed.name}"
        report.alarm(text, str(listed), "only listed images are predicted")
    return sizes


def _lists_nothing(competition: Competition, data: Path) -> bool:
    """Return whether the sample submission is there, with the right columns and without a row."""
    columns = header_of(data / competition.format.submission.sample)
    return sorted(columns) == sorted(competition.columns) and not competition.listing(data).ids


def _check_train(report: Report, labelled: LabelledData) -> Sizes:
    """Check the images with truth; return the sizes of those that can be used."""
    path = labelled.data / labelled.files[0]
    try:
        entries = labelled.entries(labelled.files[0])
    except KitError as error:
        report.take(error)
        return {}
    for image_id in repeated(plain_id(entry.id) for entry in entries):
        report.error(f"id {image_id} is there twice", str(path), labelled.reader.twice)
    ids = [entry.id for entry in entries]
    sizes = _check_headers(report, labelled, ids, "train")
    if labelled.competition.format.images.special:
        pattern = labelled.competition.image_pattern("train")
        paths = {image_id: pattern.path(labelled.data, image_id) for image_id in sizes}
        image_levels.check(report, labelled.competition.reading, paths)
    if without := _others(labelled.competition.image_pattern("train"), labelled.data, ids):
        what = f"without truth and not used: {counted(len(without), 'image')} (the first is {without[0]})"
        report.note(what, str(path))
    # Every entry is decoded, also after the first mask or error: one run of the check shows all faults.
    faults: list[KitError] = []
    for entry in entries:
        if entry.id in sizes:
            try:
                labelled.decode(entry, sizes[entry.id])
            except KitError as error:
                faults.append(KitError(error.problem, where=error.where or entry.where, fix=error.fix))
    labelled.tell(report)
    for fault in faults:
        report.take(fault)
    if not faults:
        _check_metric(report, labelled, list(sizes))
    metadata_tables.check(report, labelled.competition.metadata, labelled.data, "train", sizes)
    report.facts["training images with truth"] = float(len(sizes))
    return sizes


def _check_metric(report: Report, labelled: LabelledData, ids: list[str]) -> None:
    """Check that the truth is what the metric of values compares; a training would find out hours later."""
    form = labelled.competition.format
    if form.kind != "values" or form.metric.file or not ids:
        return
    try:
        truth = labelled.truth(ids)
        scores.score(labelled.competition, truth, truth)
    except KitError as error:
        where = error.where or labelled.data / labelled.files[0]
        report.take(KitError(error.problem, where=where, fix=error.fix))


def _check_headers(report: Report, labelled: LabelledData, ids: Iterable[str], split: Split) -> Sizes:
    """Check the headers of images; return the sizes of those that can be used."""
    sizes: Sizes = {}
    # Notes come first, then errors, so that the errors are the last lines on the screen.
    faults: list[KitError] = []
    remarks, pattern = Remarks(), labelled.competition.image_pattern(split)
    owners: dict[Path, str] = {}
    # Of images that are all grey one remark tells; with 100,000 of them nobody would read on.
    reading, special = labelled.competition.reading, labelled.competition.format.images.special
    for image_id in ids:
        try:
            path = pattern.path(labelled.data, image_id)
        except KitError as error:  # the id is no file's name
            faults.append(error)
            continue
        try:
            if spelled(path) and not _spelled_alike(pattern, labelled.data, path, image_id):
                text = f"images are found although {pattern.text} and their ids spell them in another way"
                remarks.note(text, f"{path} for id {image_id}")
            header = reading.facts(path)
            for note in header.notes:
                if special:
                    remarks.note(f"images: {note}", str(path))
                else:
                    report.note(note, str(path))
        except KitError as error:
            faults.append(error if spelled(path) else _with_hint(error, labelled.data, pattern, image_id))
            continue
        # The ids "a" and "A" both find train/a.tif: as two images, they might be on both sides of a fold.
        owner = owners.setdefault(path, image_id)
        if split == "train" and plain_id(owner) != plain_id(image_id):
            problem = f"the ids {owner} and {image_id} mean the same image"
            faults.append(KitError(problem, where=path, fix="write one of them in the same way as the other"))
            continue
        sizes[image_id] = (header.height, header.width)
    remarks.tell(report)
    for fault in faults:
        report.take(fault)
    return sizes


def _spelled_alike(pattern: PathPattern, data: Path, path: Path, image_id: str) -> bool:
    """Return whether a file is called as its pattern and id say; parts that ids lack may be anything."""
    below = path.relative_to(data).as_posix()
    if isinstance(pattern, PartsPattern) and not pattern.told_all:
        return below.startswith(pattern.text.partition("{")[0]) and pattern.id_of(below) == image_id
    return below == pattern.name(image_id)


def _others(pattern: PathPattern, data: Path, ids: Iterable[str]) -> list[str]:
    """Return the ids of the images that lie in a folder beside those listed."""
    known = {plain_id(image_id).lower() for image_id in ids}
    return [image_id for image_id in pattern.ids(data) if plain_id(image_id).lower() not in known]


def _with_hint(error: KitError, data: Path, pattern: PathPattern, image_id: str) -> KitError:
    """Return the error of a missing image; it names the image that the id may mean."""
    # A table with the ids "train/a.png" may mean train/a.tif.
    name = PurePosixPath(image_id.replace("\\", "/"))
    for guess in (name.name, name.stem):
        if guess and spelled(found := pattern.path(data, guess)):
            fix = f"is {found.relative_to(data)} meant? Then the table needs the id {plain_id(guess)!r}"
            return KitError(error.problem, where=error.where, fix=f"{fix}, or the definition another pattern")
    return error
