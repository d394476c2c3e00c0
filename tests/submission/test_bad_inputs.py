"""What Kaggle may serve or training may leave behind: the rendered predict.py ends well whatever it meets."""

import csv
import struct

import numpy as np
import pytest
import tifffile
import torch

from kit.competitions import get

KIDNEY = get("kidney")
GOOD = ("aaa", "bbb", "dot", "line", "sixteen")
"""Images that get a row of the last rung, however odd their shape."""
BAD = ("absent", "cut", "deep", "empty", "grey", "nothing", "torn")


def rgb(*size: int) -> np.ndarray:
    return np.random.default_rng(3).integers(60, 220, (*size, 3)).astype(np.uint8)


def without_pixels(path) -> None:
    """A TIFF whose header says that it is 0 pixels wide."""
    tifffile.imwrite(path, rgb(8, 8), photometric="rgb", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["ImageWidth"].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 2] = struct.pack("<H", 0)
    path.write_bytes(data)


def tear(path) -> None:
    """A TIFF whose header is fine and whose third strip does not decode."""
    tifffile.imwrite(path, rgb(120, 90), photometric="rgb", compression="deflate", rowsperstrip=32)
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[0].dataoffsets[2], tiff.pages[0].databytecounts[2]
    data = bytearray(path.read_bytes())
    data[start : start + count] = b"\xff" * count
    path.write_bytes(data)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, kit_of_two, competition, tools):
    """One run over good images among all kinds of bad ones, some listed twice, some not at all."""
    root = tools.mount(tmp_path_factory.mktemp("hostile") / "input", kit_of_two, competition)
    data = next((root / "competitions").iterdir())
    test = data / "test"
    tifffile.imwrite(test / "dot.tiff", rgb(1, 1), photometric="rgb")
    tifffile.imwrite(test / "line.tiff", rgb(1, 100_000), photometric="rgb")
    tifffile.imwrite(test / "grey.tiff", rgb(40, 50)[..., 0], photometric="minisblack")
    tifffile.imwrite(test / "deep.tiff", rgb(40, 50).astype(np.float32), photometric="rgb")
    tifffile.imwrite(test / "sixteen.tiff", rgb(90, 70).astype(np.uint16) * 257, photometric="rgb")
    tifffile.imwrite(test / "unlisted.tiff", rgb(40, 50), photometric="rgb")
    tifffile.imwrite(test / "cut.tiff", rgb(90, 90), photometric="rgb")
    with (test / "cut.tiff").open("r+b") as stream:
        stream.truncate(9000)
    (test / "empty.tiff").write_bytes(b"")
    without_pixels(test / "nothing.tiff")
    tear(test / "torn.tiff")
    listed = [*GOOD, *BAD, "bbb", "torn"]
    (data / "sample_submission.csv").write_text("id,predicted\n" + "".join(f"{name},\n" for name in listed))
    return tools.run(kit_of_two.script, root, root.parent / "out", "--workers", "2")


def rows_of(outcome) -> dict[str, str]:
    with (outcome.output / "submission.csv").open(newline="") as stream:
        return {row["id"]: row["predicted"] for row in csv.DictReader(stream)}


def test_good_images_among_bad_ones_get_the_rows_they_would_get_alone(hostile, good_run):
    assert hostile.code == 0, hostile.text
    rows, alone = rows_of(hostile), rows_of(good_run)
    assert sorted(rows) == sorted([*GOOD, *BAD])
    assert {name: rows[name] for name in alone} == alone
    assert all(not rows[name] for name in BAD)
    report = {image["id"]: image for image in hostile.report["images"]}
    assert all(report[name]["row"] == "rung 2" for name in GOOD)
    assert all(report[name]["row"] == "fallback" for name in BAD)


def test_the_file_with_bad_images_is_what_kaggle_accepts(hostile):
    sizes = {image["id"]: (image["height"], image["width"]) for image in hostile.report["images"]}
    assert sizes["line"] == (1, 100_000)
    found = KIDNEY.validate(hostile.output / "submission.csv", list(sizes), sizes)
    assert found.ok, found.findings
    ids = [line.split(",")[0] for line in hostile.csv.splitlines()[1:]]
    assert ids == [*GOOD, *BAD], "each id once, in the order of the sample"


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("absent", "missing"),
        ("cut", "cut short"),
        ("deep", "32-bit float"),
        ("empty", "empty"),
        ("grey", "grayscale"),
        ("nothing", "0"),
        ("torn", "cannot be decoded"),
    ],
)
def test_every_bad_image_has_its_line_in_the_report(hostile, image, told):
    reasons = {item["id"]: item["reason"] for item in hostile.report["images"]}
    assert told in reasons[image]
    lines = [item["what"] for item in hostile.report["problems"] if "gets the fallback row" in item["what"]]
    assert sum(f"image {image} " in line for line in lines) == 1


def test_ids_listed_twice_are_told_and_nobody_sees_a_traceback(hostile):
    assert any("bbb" in item["what"] and "twice" in item["what"] for item in hostile.report["problems"])
    assert "Traceback" not in hostile.text
    assert not any(problem.get("trace") for problem in hostile.report["problems"])


def spoil(index: int, module: torch.nn.Module) -> None:
    """Member 1 holds a NaN; member 2's finite weights overflow on the way to its output."""
    parameters = list(module.network.parameters())
    with torch.no_grad():
        if index == 1:
            parameters[-2].flatten()[0] = float("nan")
        if index == 2:
            for parameter in parameters:
                values = torch.full_like(parameter, 6e4).flatten()
                values[::2] *= -1  # infinity minus infinity is no number
                parameter.copy_(values.view_as(parameter))


def test_members_that_compute_no_numbers_are_dropped_and_the_others_predict(tmp_path, competition, tools):
    kit = tools.make_kit(tmp_path / "kit", members=3, change=spoil)
    root = tools.mount(tmp_path / "input", kit, competition)
    outcome = tools.run(kit.script, root, tmp_path / "out", "--workers", "1")
    assert outcome.code == 0, outcome.text
    assert all(rows_of(outcome).values())
    assert [image["row"] for image in outcome.report["images"]] == ["rung 1", "rung 1"]
    told = [problem["what"] for problem in outcome.report["problems"]]
    assert any("holds values that are not numbers" in what and "member1 is dropped" in what for what in told)
    assert any("probabilities that are not numbers" in what and "member2 is dropped" in what for what in told)
    assert "Traceback" not in outcome.text


def test_with_all_members_computing_no_numbers_the_fallback_stays(tmp_path, competition, tools):
    kit = tools.make_kit(tmp_path / "kit", members=1, change=lambda _, module: spoil(2, module))
    root = tools.mount(tmp_path / "input", kit, competition)
    outcome = tools.run(kit.script, root, tmp_path / "out", "--workers", "1")
    assert outcome.code == 2
    assert outcome.csv == "id,predicted\naaa,\nbbb,\n"
    assert "holds the fallback: no member works: the network returned probabilities that" in outcome.text


def test_with_no_image_that_can_be_read_the_fallback_stays(mount, kit_of_two, tmp_path, tools):
    for path in next((mount / "competitions").iterdir()).glob("test/*"):
        path.write_bytes(b"")
    outcome = tools.run(kit_of_two.script, mount, tmp_path / "out", "--workers", "1")
    assert outcome.code == 2
    assert outcome.csv == "id,predicted\naaa,\nbbb,\n"
    assert "holds the fallback: no image can be read: see the lines above" in outcome.text
    assert "Traceback" not in outcome.text
