"""What the test table tells reaches networks and thresholds; what it does not tell is survived."""

import csv
import re

import numpy as np
import pytest
import tifffile

BODY = "hubmap-organ-segmentation"
COLUMNS = ("id", "organ", "data_source", "img_height", "img_width", "pixel_size")
ROWS = (
    ("fine", "kidney", "HPA", "120", "160", "0.4"),
    ("coarse", "lung", "HPA", "60", "80", "0.8"),
    ("untold", "lung", "Elsewhere", "60", "80", ""),
    ("absurd", "kidney", "HPA", "60", "80", "0.0001"),
)


def write_body(folder, rows=ROWS):
    (folder / "test_images").mkdir(parents=True)
    for seed, (name, _, _, height, width, _) in enumerate(ROWS):
        random = np.random.default_rng(seed)
        coarse = random.integers(90, 230, (int(height) // 20, int(width) // 20, 3))
        image_HWC = np.kron(coarse, np.ones((20, 20, 1))).astype(np.uint8)
        tifffile.imwrite(folder / "test_images" / f"{name}.tiff", image_HWC, photometric="rgb")
    with (folder / "test.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    (folder / "sample_submission.csv").write_text("id,rle\n" + "".join(f"{row[0]},\n" for row in ROWS))
    return folder


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tools):
    """Windows for 0.4 um, and a threshold that leaves nothing of kidneys."""
    return tools.make_kit(
        tmp_path_factory.mktemp("kit"),
        members=1,
        competition="body",
        settings={"threshold": 0.001, "thresholds": {"kidney": 0.999}},
        inference={"pixel_size": 0.4},
    )


def predicted(outcome):
    with (outcome.output / "submission.csv").open(newline="") as stream:
        return {row["id"]: bool(row["rle"]) for row in csv.DictReader(stream)}


def problems(outcome):
    assert "Traceback" not in outcome.text
    told = [problem["what"] for problem in outcome.report["problems"]]
    return [what for what in told if "alarm" not in what]  # random networks paint whole images


@pytest.fixture(scope="module")
def told(kit, tools, tmp_path_factory):
    """A run with a table that tells of most images."""
    folder = tmp_path_factory.mktemp("told")
    root = tools.mount(folder / "input", kit, write_body(folder / BODY))
    return tools.run(kit.script, root, folder / "out", "--workers", "1")


def test_organs_have_their_own_thresholds(told):
    assert told.code == 0, told.text
    assert predicted(told) == {"fine": False, "coarse": True, "untold": True, "absurd": False}
    assert {image["row"] for image in told.report["images"]} == {"rung 1"}


def test_pixel_sizes_that_are_missing_or_absurd_are_told_and_do_without(told):
    assert problems(told) == [
        "0.0001 um cannot be the pixel size of absurd: networks learned on 0.4 um",
        "the pixel size of untold, absurd is not known: that of the training is used",
    ]


@pytest.mark.parametrize("table", [None, b"\xff\xfe\x00broken", b"id,organ\nfine,kidney\n"])
def test_without_a_usable_table_all_images_are_predicted_as_usual(kit, tools, tmp_path, table):
    data = write_body(tmp_path / BODY)
    (data / "test.csv").unlink()
    if table is not None:
        (data / "test.csv").write_bytes(table)
    outcome = tools.run(kit.script, tools.mount(tmp_path / "input", kit, data), tmp_path / "out")
    assert outcome.code == 0, outcome.text
    assert predicted(outcome) == {"fine": True, "coarse": True, "untold": True, "absurd": True}
    sizes, organs = problems(outcome)
    assert (
        sizes == "the pixel size of fine, coarse, untold, absurd is not known: that of the training is used"
    )
    assert organs.startswith("the organ of fine, coarse, untold, absurd is not known: the threshold for all")


def test_a_cell_too_long_for_a_message_costs_only_its_own_image(kit, tools, tmp_path):
    rows = [("fine", "kidney" * 7000, *ROWS[0][2:]), *ROWS[1:]]
    root = tools.mount(tmp_path / "input", kit, write_body(tmp_path / BODY, rows))
    outcome = tools.run(kit.script, root, tmp_path / "out", "--workers", "1")
    assert outcome.code == 0, outcome.text
    assert "Traceback" not in outcome.text
    reasons = {image["id"]: image["reason"] for image in outcome.report["images"]}
    # 42,000 characters of the cell, and the paths of this machine.
    assert re.search(r"the metadata of this image are too long: 4\d kB", reasons["fine"])
    assert all(reason is None for image, reason in reasons.items() if image != "fine")
