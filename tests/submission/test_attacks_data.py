"""Test parts that are empty, strange or dead: the rendered predict.py writes what can be written."""

import json
import os
import shutil
import struct
import sys

import pytest
import tifffile

from kit.competitions import get

KIDNEY = get("kidney")
FALLBACK = "id,predicted\naaa,\nbbb,\n"
COMMIT = {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}
RERUN = {**COMMIT, "KAGGLE_IS_COMPETITION_RERUN": "1"}


@pytest.fixture
def data(mount):
    """The competition's folder in the mount; yours to damage."""
    return next((mount / "competitions").iterdir())


@pytest.fixture
def predict(kit_of_two, mount, tmp_path, tools, monkeypatch):
    """Run predict.py in the given kind of run."""

    def run(env: dict[str, str] | None = None, *more: str):
        for name in RERUN:
            monkeypatch.delenv(name, raising=False)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        return tools.run(kit_of_two.script, mount, tmp_path / "out", "--workers", "1", *more)

    return run


def without_rows(data) -> None:
    (data / "sample_submission.csv").write_text("id,predicted\n")
    for image in (data / "test").iterdir():
        image.unlink()


def without_images(data) -> None:
    shutil.rmtree(data / "test")


def without_anything(data) -> None:
    shutil.rmtree(data)
    data.mkdir()


def with_placeholders(data) -> None:
    for image in (data / "test").iterdir():
        image.write_text("the images are here when your notebook is scored\n")


@pytest.mark.parametrize(
    ("empty", "csv"),
    [
        (without_rows, "id,predicted\n"),
        (without_images, FALLBACK),
        (without_anything, "id,predicted\n"),
        (with_placeholders, FALLBACK),
    ],
)
def test_a_commit_run_without_test_images_succeeds_loudly_and_a_rerun_does_not(data, predict, empty, csv):
    empty(data)
    commit = predict(COMMIT)
    assert (commit.code, commit.csv) == (0, csv), commit.text
    assert "NOTHING WAS PREDICTED: this run has no test image that can be read" in commit.text
    assert commit.report["exit_code"] == 0
    problem = commit.report["hidden_run"]["problem"]
    assert problem == "there is no image to measure on, neither in the test part nor in the training's"
    assert f"no forecast: {problem}" in commit.text
    # The bundle was rehearsed all the same.
    assert {event["name"] for event in commit.report["events"]} >= {"installed", "verified", "device"}
    rerun = predict(RERUN)
    assert (rerun.code, rerun.csv) == (2, csv), rerun.text
    assert "error: nothing was predicted; submission.csv holds the fallback: no image" in rerun.text
    assert "hidden_run" not in rerun.report
    assert "Traceback" not in commit.text + rerun.text


def test_a_commit_run_without_images_still_fails_for_a_bundle_that_is_not_whole(data, predict, mount):
    without_images(data)
    for path in mount.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-100])
    outcome = predict(COMMIT)
    assert (outcome.code, outcome.csv) == (2, FALLBACK)
    assert "member0.safetensors is truncated" in outcome.text


def test_an_id_without_an_image_costs_its_row_only(data, predict, good_run):
    listing = data / "sample_submission.csv"
    listing.write_text(listing.read_text() + "ccc,\n")
    outcome = predict(RERUN)
    assert (outcome.code, outcome.csv) == (0, good_run.csv + "ccc,\n"), outcome.text


def without_weights(mount) -> None:
    """Leave a run that ends when it knows its images and their sizes: it imports no network."""
    for path in mount.rglob("*.safetensors"):
        path.unlink()


def sizes(outcome) -> dict[str, tuple[int, int]]:
    return {image["id"]: (image["height"], image["width"]) for image in outcome.report["images"]}


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace(",", ";").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: b'"Id" , "Predicted"\r\n"aaa" ,""\r\n\r\n"bbb",""\r\n',
        lambda text: text.replace("predicted", "rle,extra").encode(),
        lambda text: (text + "\0\0,\naaa,\n").encode(),
    ],
    ids=["UTF-16", "no mark", "mark", "semicolons", "old Mac", "quoted", "other columns", "zeros"],
)
def test_a_sample_submission_of_any_form_lists_the_same_images(data, predict, mount, good_run, written):
    without_weights(mount)
    listing = data / "sample_submission.csv"
    listing.write_bytes(written(listing.read_text()))
    outcome = predict()
    assert (outcome.code, outcome.csv) == (2, FALLBACK), outcome.text
    assert sizes(outcome) == sizes(good_run)


def test_a_sample_submission_of_another_form_gives_the_same_submission(data, predict, good_run):
    listing = data / "sample_submission.csv"
    listing.write_bytes(listing.read_text().replace(",", "\t").encode("utf-16"))
    outcome = predict()
    assert (outcome.code, outcome.csv) == (0, good_run.csv), outcome.text


@pytest.mark.parametrize(
    "case",
    [
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "cannot be used: not a readable CSV file"),
        (lambda path: path.write_bytes(b""), "cannot be used: no column 'id' in "),
        (lambda path: (path.unlink(), path.mkdir()), "is missing"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "is missing"),
    ],
    ids=["garbage", "empty", "folder", "pipe"],
)
def test_without_a_usable_sample_submission_the_images_names_are_the_ids(
    data, predict, mount, good_run, case
):
    damage, told = case
    without_weights(mount)
    damage(data / "sample_submission.csv")
    outcome = predict()
    assert (outcome.code, outcome.csv) == (2, FALLBACK), outcome.text
    assert sizes(outcome) == sizes(good_run)
    assert f"PROBLEM: sample_submission.csv {told}" in outcome.text
    assert "the ids are the 2 test images' names" in outcome.text


def test_without_a_sample_submission_all_images_are_predicted(data, predict, good_run):
    (data / "sample_submission.csv").unlink()
    outcome = predict()
    assert (outcome.code, outcome.csv) == (0, good_run.csv), outcome.text
    assert "PROBLEM: sample_submission.csv is missing" in outcome.text
    assert "the ids are the 2 test images' names" in outcome.text


def widen(path, width: int) -> None:
    """Let a TIFF's header claim another width."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["ImageWidth"]
    assert tag.count == 1
    head = bytearray(path.read_bytes())
    place = tag.offset  # tag, type, count, value: the value becomes a 32-bit number
    head[place + 2 : place + 4] = struct.pack("<H", 4)
    head[place + 8 : place + 12] = struct.pack("<I", width)
    path.write_bytes(head)


def test_an_impossible_width_costs_one_row(data, predict, good_run):
    names = []
    for width in (4294967294, 2147483647, 1_000_000_000, 0):
        names.append(f"w{width}")
        shutil.copy(data / "test" / "bbb.tiff", data / "test" / f"w{width}.tiff")
        widen(data / "test" / f"w{width}.tiff", width)
    listing = data / "sample_submission.csv"
    listing.write_text("id,predicted\n" + "".join(f"{name},\n" for name in ["aaa", *names]))
    outcome = predict()
    assert outcome.code == 0, outcome.text
    rows = [*good_run.csv.splitlines(keepends=True)[:2], *(f"{name},\n" for name in names)]
    assert outcome.csv == "".join(rows)
    found = {image["id"]: image["row"] for image in outcome.report["images"]}
    assert found == {"aaa": "rung 2", **dict.fromkeys(names, "fallback")}


def test_images_that_hang_delay_neither_the_fallback_nor_the_others(data, predict, good_run):
    hanging = [f"pipe{number}" for number in range(20)]  # more than there are threads
    for name in hanging:
        os.mkfifo(data / "test" / f"{name}.tiff")
    (data / "sample_submission.csv").write_text(
        "id,predicted\n" + "".join(f"{n},\n" for n in [*hanging, "aaa"])
    )
    outcome = predict()
    assert outcome.code == 0, outcome.text
    assert outcome.csv.splitlines()[-1] == good_run.csv.splitlines()[1]
    seconds = {event["name"]: event["seconds"] for event in reversed(outcome.report["events"])}
    assert seconds["fallback"] < seconds["headers"]
    assert json.dumps(outcome.report["problems"]).count("gets the fallback row") == 20
    for name in hanging:
        assert f"{name},\n" in outcome.csv


SIZED = {
    "name": "sized",
    "slug": "a-competition-with-sizes",
    "kind": "semantic",
    "images": {"train": "train/{id}.tiff", "test": "test/{id}.tiff"},
    "truth": {"form": "text", "file": "train.csv", "mask": "rle"},
    "submission": {"mask": "rle", "height": "height", "width": "width", "encoding": "coco", "empty": "-"},
    "metric": {"name": "mean Dice"},
}


def test_sizes_of_unreadable_images_come_from_the_sample_submission(tmp_path, tools, competition):
    kit = tools.make_kit(tmp_path / "kit", definition=SIZED)
    root = tools.mount(tmp_path / "input", kit, competition)
    data = next((root / "competitions").iterdir()).rename(root / "competitions" / SIZED["slug"])
    (data / "test" / "broken.tiff").write_bytes(b"no image")
    widen(data / "test" / "bbb.tiff", 4294967294)
    (data / "sample_submission.csv").write_text(
        "id,height,width,rle\naaa,1,1,\nbbb,256,320,\nbroken,12,34.0,\nlost,x,,\n"
    )
    outcome = tools.run(kit.script, root, tmp_path / "out", "--workers", "1")
    assert outcome.code == 0, outcome.text
    rows = [line.split(",") for line in outcome.csv.splitlines()]
    assert rows[0] == ["id", "height", "width", "rle"]
    assert [row[:3] for row in rows[1:]] == [
        ["aaa", "200", "280"],
        ["bbb", "256", "320"],
        ["broken", "12", "34"],
        ["lost", "12", "34"],
    ]
    assert rows[1][3] not in ("", "-")
    assert [row[3] for row in rows[2:]] == ["-"] * 3
    assert "tables tell another size than the image itself, which counts: aaa" in outcome.text


def test_a_full_output_disk_never_costs_the_submission(mount, kit_of_two, tmp_path, in_namespace, good_run):
    """The report would fill a disk that has room for the submission alone."""
    output = tmp_path / "out"
    output.mkdir()
    size = len(good_run.csv) // 4096 + 2
    setup = f'mount -t tmpfs -o size={size * 4}k none {output}; "$@"; c=$?; cp {output}/* {tmp_path}; exit $c'
    command = ["--input", str(mount), "--output", str(output), "--device", "cpu", "--budget", "600"]
    done = in_namespace(setup, sys.executable, str(kit_of_two.script), *command, "--workers", "1")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "submission.csv").read_text() == good_run.csv


def test_a_disk_that_others_fill_later_has_the_last_report_all_the_same(
    mount, kit_of_two, tmp_path, in_namespace, good_run
):
    output = tmp_path / "out"
    output.mkdir()
    # Somebody fills the disk as soon as the run has its fallback, and has room for its report.
    room = output / ".report.json.room"
    fill = f"until [ -e {room} ]; do sleep 0.02; done; head -c 64m /dev/zero > {output}/full"
    setup = f"mount -t tmpfs -o size=32m none {output}; ({fill}) & true"
    line = f'"$@"; code=$?; cp {output}/*.* {tmp_path}; ls -A {output} > {tmp_path}/left; exit $code'
    command = ["--input", str(mount), "--output", str(output), "--device", "cpu", "--budget", "600"]
    run = [sys.executable, str(kit_of_two.script), *command, "--workers", "1"]
    done = in_namespace(setup, "sh", "-c", line, "sh", *run)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "submission.csv").read_text() == good_run.csv
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["state"], report["exit_code"]) == ("rung 2", 0)
    assert [event["name"] for event in report["events"]][-1] == "end"
    assert (tmp_path / "left").read_text().split() == ["full", "report.json", "submission.csv"]


def test_a_read_only_output_folder_is_told_with_one_that_can_be_written(
    mount, kit_of_two, tmp_path, in_namespace
):
    output = tmp_path / "out"
    output.mkdir()
    setup = f"mount --bind {output} {output} && mount -o remount,bind,ro {output}"
    command = ["--input", str(mount), "--output", str(output), "--device", "cpu"]
    done = in_namespace(setup, sys.executable, str(kit_of_two.script), *command)
    assert done.returncode == 2
    assert "error: cannot write submission.csv: Read-only file system" in done.stdout
    assert "; --output " in done.stdout
    assert " can be written" in done.stdout
