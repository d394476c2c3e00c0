"""Faults of a competition's folder: each is told with what to do, and nothing is written."""

import csv
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tifffile

from kit import competitions
from kit.errors import KitError
from kit.images.reading import ColourTiffs
from kit.images.slide import open_slide
from kit.local.competitions.labelled import LabelledData
from train_local.data import array_jobs, content, preparation_report, prepare, prepared, processes
from train_local.data.folds import Fold

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "sample"


@pytest.fixture
def body(tmp_path):
    return shutil.copytree(SAMPLE / "body", tmp_path / "data")


def fails(data, out, name="body", **options):
    with pytest.raises(KitError) as error:
        prepare.prepare(name, data, out, reductions=(8,), **options)
    assert not (out / "prepared.json").exists()
    return str(error.value)


def read(path):
    with open_slide(path) as slide:
        return slide.read_band(0, slide.height)


def test_a_missing_slide_is_named(body, tmp_path):
    (body / "train_images" / "10103.tiff").unlink()
    message = fails(body, tmp_path / "out")
    assert "10103.tiff" in message
    assert "fix:" in message


def test_a_mask_that_does_not_fit_its_image_is_named(body, tmp_path):
    path = body / "train_images" / "10103.tiff"
    tifffile.imwrite(path, read(path)[:300, :300], photometric="rgb", metadata=None)
    message = fails(body, tmp_path / "out")
    assert "10103" in message
    assert "fix:" in message


def test_a_mask_image_of_another_size_is_named(tmp_path):
    from PIL import Image

    definition = tmp_path / "spots.toml"
    definition.write_text(
        'like = "kidney"\nname = "spots"\nslug = "spots"\n[truth]\nform = "images"\n'
        'file = "masks/{id}.png"\nsolution = "test_masks/{id}.png"\n'
    )
    data = tmp_path / "data"
    (data / "masks").mkdir(parents=True)
    for name in ("train", "test"):
        (data / name).mkdir()
    for image_id in ("10001", "10002"):
        shutil.copy(SAMPLE / "body" / "train_images" / f"{image_id}.tiff", data / "train")
        Image.new("L", (640, 512 if image_id == "10001" else 500), 255).save(
            data / "masks" / f"{image_id}.png"
        )
    shutil.copy(SAMPLE / "body" / "test_images" / "10006.tiff", data / "test")
    (data / "sample_submission.csv").write_text("id,predicted\n10006,\n")
    message = fails(data, tmp_path / "out", name=definition)
    assert "10002.png" in message
    assert "500" in message
    assert "512" in message


def test_a_fold_without_images_and_folds_that_overlap_are_refused_when_they_are_read(body, tmp_path):
    out = tmp_path / "out"
    made = prepare.prepare("body", body, out, reductions=(8,))
    first = made.folds[0]
    for spoilt, words in (
        (replace(first, valid=()), "fold 0 has no image to validate on"),
        (replace(first, valid=(*first.valid, first.train[0])), "trains on 1 of the images that it validates"),
    ):
        prepared.save(replace(made, folds=[spoilt, *made.folds[1:]]))
        with pytest.raises(KitError, match=words) as error:
            prepared.load(out)
        assert "prepared.json" in str(error.value)


def test_more_folds_than_images_are_refused(body, tmp_path):
    message = fails(body, tmp_path / "out", fold_count=40)
    assert "15 images cannot make 40 folds" in message


def copy_under(data, image_id, other):
    """Give an image and its mask a second id; the pixels are the same, the file is another one."""
    image_HWC = read(data / "train_images" / f"{image_id}.tiff")
    tifffile.imwrite(
        data / "train_images" / f"{other}.tiff", image_HWC, photometric="rgb", compression="zlib"
    )
    with (data / "train.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    row = next(row for row in rows if row[0] == image_id)
    with (data / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([*rows, [other, *row[1:]]])


def test_one_picture_under_two_ids_is_refused_on_both_sides_of_a_fold_else_told(body, tmp_path):
    copy_under(body, "10103", "20000")
    message = fails(body, tmp_path / "out", rule="group", fold_count=4)
    assert "images" in message
    assert "10103" in message
    assert "20000" in message
    assert "show the same picture" in message
    read_all = {
        path.stem: content.content_of(path, ColourTiffs())
        for path in sorted((body / "train_images").glob("*"))
    }
    found = content.duplicates(read_all, ColourTiffs())
    assert found == [("10103", "20000")]
    together = Fold(0, ("10103", "20000"), ("10001",))
    assert content.check_duplicates(found, [together], body) == [
        "alarm: images 10103 and 20000 show the same picture"
    ]


def test_pictures_that_agree_in_their_middle_rows_only_are_two(tmp_path):
    image_HWC = read(SAMPLE / "body" / "train_images" / "10103.tiff")
    other_HWC = image_HWC.copy()
    other_HWC[0, 0] ^= 255
    arrays = {"a": image_HWC, "b": other_HWC, "c": image_HWC[:, :-1], "d": other_HWC, "e": image_HWC}
    for name, array in arrays.items():
        compression = "zlib" if name in "abc" else None
        tifffile.imwrite(tmp_path / f"{name}.tiff", array, photometric="rgb", compression=compression)
    read_all = {name: content.content_of(tmp_path / f"{name}.tiff", ColourTiffs()) for name in arrays}
    assert content.duplicates({name: read_all[name] for name in "abc"}, ColourTiffs()) == []
    assert content.duplicates(read_all, ColourTiffs()) == [("a", "e"), ("b", "d")]


def test_an_unlabelled_picture_that_is_a_labelled_one_is_told(tmp_path):
    data = shutil.copytree(SAMPLE / "vasculature", tmp_path / "data")
    first = next(iter(prepare.inspect("vasculature", data).ids))
    shutil.copy(data / "train" / f"{first}.tif", data / "train" / "cmu105120960.tif")
    made = prepare.prepare("vasculature", data, tmp_path / "out")
    assert f"alarm: images {first} and cmu105120960 show the same picture" in made.findings


def test_an_unlabelled_image_that_cannot_be_read_is_left_out_with_an_alarm(tmp_path):
    data = shutil.copytree(SAMPLE / "vasculature", tmp_path / "data")
    path = data / "train" / "cmu105120960.tif"
    path.write_bytes(path.read_bytes()[:500])
    made = prepare.prepare("vasculature", data, tmp_path / "out")
    assert "cmu105120960" not in made.unlabelled
    assert len(made.unlabelled) == 7
    assert any("alarm: an image without truth is left out" in text for text in made.findings)


FULL_DISK = """
import resource, sys
from pathlib import Path
from kit.errors import KitError
from train_local.data import prepare
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    prepare.prepare("kidney", Path(sys.argv[1]), Path(sys.argv[2]), reductions=(1,))
except KitError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_no_part_of_an_array(blobs, tmp_path):
    data, out = blobs.make_competition(tmp_path / "data"), tmp_path / "out"
    command = [sys.executable, "-c", FULL_DISK, str(data), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot write aa.image.npy" in done.stdout
    assert "free" in done.stdout
    assert [path for path in out.rglob("*") if path.is_file()] == []
    made = prepare.prepare("kidney", data, out, reductions=(1,))
    assert len(made.images) == 4


def test_a_disk_that_is_too_small_is_told_before_anything_is_written(body, tmp_path):
    made, jobs = prepare.plan("body", body, tmp_path / "out", reductions=(1,), sides=(64,))
    huge = [replace(job, size=1 << 60) for job in jobs]
    with pytest.raises(KitError, match=r"the arrays need .* GiB, the disk has .* GiB free") as error:
        array_jobs.require_space(huge, made.root)
    assert "--out" in str(error.value)
    assert not made.root.exists()


def test_a_dry_run_says_what_is_missing_and_writes_nothing(body, tmp_path, capsys):
    out = tmp_path / "out"
    made, jobs = prepare.plan("body", body, out, reductions=(4, 8), sides=(64,))
    assert sum(job.size for job in jobs if job.side) == 15 * 4 * 64 * 64
    preparation_report.show_plan(made, jobs, out)
    said = capsys.readouterr().err
    assert "slides at 1/4" in said
    assert "Nothing was written" in said
    assert not out.exists()
    whole = prepare.prepare("body", body, out, reductions=(4, 8), sides=(64,))
    assert whole.folds == made.folds
    assert array_jobs.missing(jobs) == []
    assert {path.stat().st_size for path in (out / "whole" / "64" / "original").glob("*.npy")} == {
        3 * 64 * 64 + 128
    }


def test_the_number_of_processes_changes_nothing(body, tmp_path):
    def contents(folder):
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    for jobs in (1, 2):
        prepare.prepare("body", body, tmp_path / f"{jobs}", reductions=(8,), sides=(64,), jobs=jobs)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def _die(number):
    if number == 3:
        resource.setrlimit(resource.RLIMIT_CPU, (0, 0))
        while True:
            pass
    return number


def test_a_killed_process_is_told():
    with pytest.raises(KitError, match="a process that prepares images was killed") as error:
        processes.each(_die, list(range(6)), jobs=2, description="die")
    assert "fewer --jobs" in str(error.value)


def test_repeated_outlines_are_kept_or_taken_once(tmp_path):
    data = shutil.copytree(SAMPLE / "vasculature", tmp_path / "data")
    lines = (data / "polygons.jsonl").read_text().splitlines()
    first, rest = lines[0], lines[1:]
    start = first.index("[{") + 1
    annotation = first[start : first.index("}", start) + 1]
    (data / "polygons.jsonl").write_text(
        "\n".join([first[:start] + annotation + "," + first[start:], *rest]) + "\n"
    )
    counts = {}
    for keep in (True, False):
        truth = LabelledData(competitions.get("vasculature"), data, keep_repeats=keep)
        image_id = truth.train_ids()[0]
        counts[keep] = sum(len(item.masks) for item in truth.truth(truth.train_ids()).values())
        assert image_id
    assert counts[True] == counts[False] + 1
    kept = prepare.inspect("vasculature", data)
    assert any("1 repeated polygons are kept as instances of their own" in text for text in kept.findings)
    once = prepare.inspect("vasculature", data, keep_repeats=False)
    assert any("1 repeated polygons are taken once" in text for text in once.findings)
