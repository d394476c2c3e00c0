"""Guess the table `[images]`: where the images lie, of which format they are, what their samples are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kit.competitions.image_rules import pattern_of, reading_of
from kit.competitions.images_check import check_images
from kit.competitions.images_format import SUFFIXES, Images
from kit.competitions.path_pattern import PathPattern
from kit.errors import KitError
from kit.images.dicom_header import read_dicom_header
from kit.images.header import read_header
from kit.images.image_protocols import Reading
from kit.images.png_header import read_png_header
from kit.images.reading import ColourTiffs
from kit.local.new_competition.guesses import Draft, Guess, Question
from kit.local.new_competition.patterns import Pattern
from kit.local.new_competition.patterns import pattern_of as guessed
from kit.local.new_competition.survey import Files, Survey
from kit.local.wording import counted

_SUFFIXES = {"tiff": SUFFIXES, "png": (".png",), "jpeg": (".jpg", ".jpeg"), "dicom": (".dcm", ".dicom")}
_ARRAYS = (".npy", ".npz", ".zarr", ".h5", ".hdf5", ".nii", ".mha", ".mrc")
_SOUNDS = (".ogg", ".wav", ".mp3", ".flac", ".mp4", ".avi", ".mov")
_LOOKED_AT = 4
_TOLD = 0.95
"""Share of the ids of a table from which on its pattern is taken for right."""
_RULES = '"full range", [low, high], { percentiles = [1, 99] } or "dicom window"'


@dataclass(frozen=True)
class Found:
    """The images of a folder.

    Attributes:
        images: the table, as far as it is settled; None if a question about it stays open.
        train: their pattern.
        test: of the images to predict.
    """

    images: Images | None
    train: Pattern
    test: Pattern


def guess(draft: Draft, seen: Survey, train_ids: Sequence[str], test_ids: Sequence[str]) -> Found:
    """Fill in the table `[images]`.

    Args:
        draft: gets the keys.
        seen: the folder.
        train_ids: as the table with the truth has them.
        test_ids: as the sample submission has them.

    Raises:
        KitError: there are no images.
    """
    train, test = (_files(seen, word, ids) for word, ids in (("train", train_ids), ("test", test_ids)))
    if train is None and test is None:
        raise _no_images(seen)
    one = train or test
    assert one is not None
    # Without a table of the truth, the sample submission tells how ids are made.
    template = guessed(test, test_ids).id if test and test_ids else ""
    found_train = guessed(one, train_ids, template)
    found_test = guessed(test, test_ids) if test else _like(found_train)
    if not _fit(found_train, found_test):
        # A test part of one image does not show which parts vary, nor do images that no table names: the
        # part whose ids are explained better tells how the other one lies.
        if found_test.matched > found_train.matched:
            found_train = _like(found_test, "test", "train")
        else:
            found_test = _like(found_train)
    form = next((name for name, ends in _SUFFIXES.items() if one.suffix.lower() in ends), "")
    if form and _with_suffix(test_ids or train_ids, one.suffix):
        # Ids of the tables are whole names, which the rows of a submission have to repeat.
        found_train, found_test = (
            replace(item, path=item.path.removesuffix(one.suffix)) for item in (found_train, found_test)
        )
        if form != "tiff":
            draft.put("images.format", form, f"ids in the tables end with {one.suffix}")
    count = len(found_train.ids) or len(one.paths)
    draft.put(
        "images.train",
        found_train.path,
        f"{counted(count, 'image')} found there; {_share(found_train, 'the truth')}",
    )
    if test:
        why = (
            f"{len(found_test.ids) or len(test.paths)} images; {_share(found_test, 'the sample submission')}"
        )
    else:
        why = "no test images are here; laid out as the training images"
    draft.put("images.test", found_test.path, why)
    if found_train.id != "{id}":
        draft.put("images.id", found_train.id, "so the ids of the tables are made of the parts")
    paths = [seen.folder / path for path in one.paths]
    step = max(1, len(paths) // _LOOKED_AT)
    seen_form = _samples(draft, paths[::step][:_LOOKED_AT], one.suffix)
    if not one.suffix and seen_form == "dicom":
        draft.put("images.format", "dicom", "the files have no suffix, and DICOM content")
    return Found(_settled(draft), found_train, found_test)


def _no_images(seen: Survey) -> KitError:
    """Return the error for a folder without images, which tells what is there."""
    most = [
        f"{count:,} {suffix or 'files without a suffix'}" for suffix, count in seen.suffixes.most_common(3)
    ]
    known = "TIFF, PNG, JPEG and DICOM files count; "
    if arrays := [name for name in _ARRAYS if name in seen.suffixes]:
        fix = f"{known}predict.py cannot read {' and '.join(arrays)}, nor other arrays than images"
    elif sounds := [name for name in _SOUNDS if name in seen.suffixes]:
        fix = f"{known}the kit predicts images, and has nothing for {' and '.join(sounds)}"
    else:
        fix = f"{known}unpack archives first, or name the folder above them"
    found = f"; the folder holds {', '.join(most)}" if most else ""
    return KitError(f"no images are here{found}", where=seen.folder, fix=fix)


def sizes_of(found: Found, folder: Path, ids: list[str]) -> dict[str, tuple[int, int]]:
    """Return height and width of some training images, as far as their headers tell them."""
    images = found.images
    if images is None:
        return {}
    special = images.special
    pattern = pattern_of(images, images.train) if special else PathPattern(images.train, SUFFIXES)
    reading: Reading = reading_of(images) if special else ColourTiffs()
    sizes = {}
    for image in ids:
        try:
            facts = reading.facts(pattern.path(folder, image))
        except KitError:
            continue
        sizes[image] = (facts.height, facts.width)
    return sizes


def _files(seen: Survey, word: str, ids: Sequence[str]) -> Files | None:
    """Return the images of a part: those that most ids name; of equals, the folder called like the part."""
    other = "test" if word == "train" else "train"
    best: Files | None = None
    most = (0.0, 0, 0)
    for files in seen.files:
        if files.masks or (files.about(other) and not files.about(word)):
            continue
        named = int(files.about(word))
        matched = guessed(files, ids).matched if ids else 0.0
        if (matched or named) and (matched, named, len(files.paths)) > most:
            best, most = files, (matched, named, len(files.paths))
    return best


def _with_suffix(ids: Sequence[str], suffix: str) -> bool:
    return bool(ids) and sum(image.lower().endswith(suffix.lower()) for image in ids) > len(ids) / 2


def _like(known: Pattern, this: str = "train", other: str = "test") -> Pattern:
    return Pattern(known.path.replace(this, other), known.id, 0.0, frozenset())


def _fit(train: Pattern, test: Pattern) -> bool:
    """Return whether both parts may lie as guessed: alike, or each as its table says."""
    alike = train.path.count("{") == test.path.count("{")
    told = min(train.matched, test.matched) >= _TOLD and train.id == test.id
    return (alike or told) and ("*" in train.path) == ("*" in test.path)


def _share(pattern: Pattern, table: str) -> str:
    return f"{pattern.matched:.0%} of the ids of {table} are among them"


def _samples(draft: Draft, paths: list[Path], suffix: str) -> str:
    """Ask for the rule of intensity where images need one; return the format."""
    kinds: dict[str, object] = {}
    form = "other"
    for path in paths:
        try:
            form, words, example = _facts(path, suffix)
        except (KitError, OSError):
            continue
        if words:
            kinds[words] = example
    if kinds:
        words, example = next(iter(kinds.items()))
        draft.question(
            Question(
                "images.intensity",
                f"The images hold {words}. Which samples become black and white: {_RULES}?",
                Guess(example, f"images hold {words}; check a few pictures", sure=False),
            )
        )
    return form


def _facts(path: Path, suffix: str) -> tuple[str, str, object]:
    """Return the format of a file, and, where it needs a rule, what it holds and which rule is likely."""
    percentiles = {"percentiles": [1, 99]}
    if suffix.lower() == ".png":
        png = read_png_header(path)
        return "png", f"{png.bits}-bit samples" if png.bits > 8 and not png.palette else "", "full range"
    if suffix.lower() in SUFFIXES:
        tiff = read_header(path)
        if tiff.channels >= 3 and tiff.sample_format == "uint" and tiff.bits in (8, 16):
            return "tiff", "", None
        rule: object = percentiles if tiff.sample_format == "float" else "full range"
        return "tiff", f"{tiff.bits}-bit {tiff.sample_format} samples, {tiff.channels} of a pixel", rule
    if suffix.lower() in (".dcm", ".dicom", ""):
        scan = read_dicom_header(path)
        if not scan.grey:
            return "dicom", "", None
        window = " with a window in the files" if scan.window else ""
        return (
            "dicom",
            f"{scan.stored}-bit grey values{window}",
            "dicom window" if scan.window else percentiles,
        )
    return "jpeg", "", None


def _settled(draft: Draft) -> Images | None:
    keys = ("train", "test", "id", "format", "intensity")
    values = {key: draft.value(f"images.{key}") for key in keys if f"images.{key}" in draft.known}
    if any(item.key == "images.intensity" for item in draft.open):
        return None
    images = Images(**values)
    check_images(images)
    return images
