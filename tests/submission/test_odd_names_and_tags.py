"""The rendered predict.py on ids that are no file names, and on TIFFs whose tags are wrong but readable."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.competitions import get
from tests.kit.images import built

ODD = ("../../escape", "../submission", "/etc/hostname", "..", "~", "x" * 300, "a|b", "nul", "sub/dir")
"""Ids without an image in the data folder's own test part."""
TWINS = ("Twin", "twin", "TWIN", "name with blanks", "é")
TAGS = ("zero", "tiles", "beyond", "inside", "missing")
"""Images that hold what `right` holds, and say it in another way."""


def files_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def write_images(test: Path) -> None:
    image_HWC = (
        np.random.default_rng(5).integers(60, 220, (10, 13, 3)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    )
    wide = {"rows": 160}
    for name in (*TWINS, "right"):
        tifffile.imwrite(test / f"{name}.tiff", image_HWC, photometric="rgb")
    (test / "zero.tiff").write_bytes(
        built.build(image_HWC, **wide, change=lambda tags: tags.update({built.STRIP_SIZES: [0]}))
    )
    (test / "missing.tiff").write_bytes(
        built.build(image_HWC, rows=20, codec=5, change=lambda tags: tags.pop(built.STRIP_SIZES))
    )

    def as_strips(tags):
        tags[built.STRIP_OFFSETS] = tags.pop(built.TILE_OFFSETS)
        tags[built.STRIP_SIZES] = tags.pop(built.TILE_SIZES)

    (test / "tiles.tiff").write_bytes(built.build(image_HWC, tile=(64, 64), codec=5, change=as_strips))
    (test / "beyond.tiff").write_bytes(built.build(image_HWC, **wide, following=2**31))
    (test / "inside.tiff").write_bytes(built.build(image_HWC, **wide, following=5001))


@pytest.fixture(scope="module")
def odd(tmp_path_factory, kit_of_two, competition, tools):
    root = tools.mount(tmp_path_factory.mktemp("odd") / "input", kit_of_two, competition)
    data = next((root / "competitions").iterdir())
    write_images(data / "test")
    os.mkfifo(data / "test" / "pipe.tiff")
    # The file that an id would reach which leaves the data folder.
    (data.parent / "escape.tiff").write_bytes((data / "test" / "right.tiff").read_bytes())
    (data / "test" / "huge.tiff").write_bytes(
        built.build(
            np.zeros((9, 9, 3), np.uint8),
            change=lambda tags: (tags.update({built.WIDTH: [2**32 - 2]}), tags.pop(built.STRIP_SIZES)),
        )
    )
    names = [*ODD, *TWINS, "right", *TAGS, "pipe", "huge"]
    with (data / "sample_submission.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "predicted"), *((name, "") for name in names)])
    before = files_below(root.parent)
    outcome = tools.run(kit_of_two.script, root, root.parent / "out" / "working", "--workers", "2")
    return outcome, files_below(root.parent) - before, names


def rows_of(outcome) -> dict[str, str]:
    with (outcome.output / "submission.csv").open(newline="") as stream:
        return {row["id"]: row["predicted"] for row in csv.DictReader(stream)}


def test_every_id_has_its_row_and_the_file_is_valid(odd):
    outcome, _, names = odd
    assert outcome.code == 0, outcome.text
    assert list(rows_of(outcome)) == names
    sizes = {image["id"]: (image["height"], image["width"]) for image in outcome.report["images"]}
    assert get("kidney").validate(outcome.output / "submission.csv", names, sizes).ok
    assert "Traceback" not in outcome.text


def test_no_id_writes_or_reads_outside_its_folder(odd):
    outcome, new, _ = odd
    assert {name for name in new if not name.startswith("out/working")} <= {"out"}
    rows = rows_of(outcome)
    assert not any(rows[name] for name in (*ODD, "pipe", "huge"))
    reasons = {image["id"]: image["reason"] for image in outcome.report["images"]}
    assert "no name of a file in the data folder" in reasons["../../escape"]


def test_ids_that_differ_by_case_alone_get_their_own_rows(odd):
    outcome, *_ = odd
    rows = rows_of(outcome)
    assert all(rows[name] == rows["right"] for name in TWINS)
    origins = {image["id"]: image["row"] for image in outcome.report["images"]}
    assert all(origins[name] == "rung 2" for name in TWINS)


@pytest.mark.parametrize("name", TAGS)
def test_tags_that_are_wrong_give_the_row_of_the_right_ones(odd, name):
    outcome, *_ = odd
    rows = rows_of(outcome)
    assert rows["right"]
    assert rows[name] == rows["right"]
