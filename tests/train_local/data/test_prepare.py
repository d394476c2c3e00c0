import json
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local.competitions.truth_readers import PolygonTruth
from train_local.cli import main
from train_local.data import coco, prepare, prepared, slides

SAMPLE = Path(__file__).parents[3] / "sample"


def contents(folder):
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_kidney_sample_becomes_arrays_by_slide(tmp_path):
    made = prepare.prepare("kidney", SAMPLE / "kidney", tmp_path / "out", reductions=(4,))
    assert made == prepared.load(tmp_path / "out")
    assert [fold.valid for fold in made.folds] == [("1019",), ("1008",)]
    for image_id in ("1008", "1019"):
        files = slides.files_of(made.root, 4, image_id)
        image_HWC, mask_HW = np.load(files.image), np.load(files.mask)
        image = made.images[image_id]
        assert image_HWC.shape == (-(-image.height // 4), -(-image.width // 4), 3)
        assert 0.4 < (mask_HW > 127).mean() < 0.6, "the README of the data says half is tumour"
    assert "| 0 | 1 | 1 | 1019 |" in (tmp_path / "out" / "report.md").read_text()


@pytest.fixture
def opened():
    """How often each file is opened while the test runs; an audit hook stays, so it is switched off after."""
    counts, counting = Counter(), [True]

    def hook(event, arguments):
        if event == "open" and counting:
            counts[str(arguments[0])] += 1

    sys.addaudithook(hook)
    yield counts
    counting.clear()


def test_vasculature_sample_becomes_coco_by_fold(tmp_path, monkeypatch, opened):
    decoded, regions = Counter(), PolygonTruth.regions

    def counted(reader, entry, *size):
        decoded[entry.id] += 1
        return regions(reader, entry, *size)

    monkeypatch.setattr(PolygonTruth, "regions", counted)
    made = prepare.prepare("vasculature", SAMPLE / "vasculature", tmp_path / "out")
    assert opened[str(SAMPLE / "vasculature" / "polygons.jsonl")] == 1
    assert opened[str(SAMPLE / "vasculature" / "solution.jsonl")] == 0
    assert decoded == Counter(made.images.keys()), "the truth of each tile is decoded once"
    assert made.split == "strips"
    assert len(made.folds) == 5
    assert any("both sides" in finding for finding in made.findings)
    files = {path.name for path in made.root.iterdir()}
    assert files == {"coco.json", "prepared.json", "report.md"}, "what is read, and nothing else"
    value = json.loads(made.coco_path.read_text())
    assert [image["id"] for image in value["images"]] == sorted(made.images)
    assert value["categories"] == [{"id": 0, "name": "blood_vessel", "supercategory": "none"}]
    assert [entry["id"] for entry in value["annotations"]] == list(range(1, len(value["annotations"]) + 1))
    names = {image["id"]: image["file_name"] for image in value["images"]}
    for entry in value["annotations"][::40]:
        mask_HW = coco.mask_of(entry)
        rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
        assert entry["area"] == mask_HW.sum() == sum(entry["segmentation"]["counts"][1::2])
        assert entry["bbox"] == [
            columns[0],
            rows[0],
            columns[-1] - columns[0] + 1,
            rows[-1] - rows[0] + 1,
        ], "both border pixels count"
        assert entry["iscrowd"] == 0
        assert (SAMPLE / "vasculature" / names[entry["image_id"]]).is_file()


def test_folds_hold_out_dataset_1_only_and_unlabelled_tiles_are_listed(tmp_path):
    made = prepare.prepare("vasculature", SAMPLE / "vasculature", tmp_path / "out")
    assert Counter(image.dataset for image in made.images.values()) == {1: 82, 2: 12}
    assert {image.dataset for image in made.unlabelled.values()} == {3}
    assert {image.group for image in made.unlabelled.values()} == {"6", "7"}
    held = [image_id for fold in made.folds for image_id in fold.valid]
    assert len(held) == len(set(held)) == 82
    assert {made.images[image_id].dataset for image_id in held} == {1}
    loaded = prepared.load(tmp_path / "out")
    assert loaded == made
    first = next(iter(made.unlabelled))
    assert loaded.image_path(first).is_file()
    moved = {**made.unlabelled, first: replace(made.unlabelled[first], group="8")}
    assert replace(made, unlabelled=moved).identity != made.identity, "recipes choose tiles by slide"
    with pytest.raises(KitError, match="image 'nothing' is not prepared"):
        loaded.image("nothing")


def test_preparing_again_writes_the_same_and_only_what_is_missing(blobs, tmp_path):
    data, out = blobs.make_competition(tmp_path / "data"), tmp_path / "out"
    prepare.prepare("kidney", data, out, reductions=(2,))
    before = contents(out)
    kept, lost = slides.files_of(out, 2, "aa"), slides.files_of(out, 2, "bb")
    when = kept.image.stat().st_mtime_ns
    lost.mask.unlink()
    (out / "prepared.json").unlink()
    prepare.prepare("kidney", data, out, reductions=(2,))
    assert contents(out) == before
    assert kept.image.stat().st_mtime_ns == when


def test_what_a_reader_assumed_of_an_image_is_printed(blobs, tmp_path, capsys):
    data = blobs.make_competition(tmp_path / "data")
    whole = prepare.prepare("kidney", data, tmp_path / "whole", reductions=(2,))
    path = data / "train" / "bb.tiff"
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        (page,) = tiff.pages
        assert len(page.dataoffsets) == 1
        page.tags["StripByteCounts"].overwrite(0)
    out = tmp_path / "out"
    main(["prepare", "kidney", "--data", str(data), "--out", str(out), "--scale", "1/2"])
    note = "the file does not say the right size of 1 of its 1 strips: it is taken from the image's size"
    printed = " ".join(capsys.readouterr().err.split())  # the console breaks long lines
    assert f"note: {note}" in printed
    assert note in (out / "report.md").read_text()
    assert any(note in finding and "bb.tiff" in finding for finding in prepared.load(out).findings)
    read, expected = (np.load(slides.files_of(root, 2, "bb").image) for root in (out, whole.root))
    assert np.array_equal(read, expected)


def test_identity_follows_images_truth_and_folds_but_not_the_place(blobs, tmp_path):
    data = blobs.make_competition(tmp_path / "data")
    first = prepare.prepare("kidney", data, tmp_path / "one", reductions=(2,), fold_count=2)
    moved = shutil.copytree(data, tmp_path / "moved")
    assert prepare.prepare("kidney", moved, tmp_path / "two", fold_count=2).identity == first.identity
    assert prepare.prepare("kidney", data, tmp_path / "two", fold_count=3).identity != first.identity
    for other in ({"dataset": 2}, {"group": "another slide"}, {"organ": "lung"}):
        image = replace(first.images["aa"], **other)
        for kind in ("images", "unlabelled"):
            changed = replace(first, **{kind: {**getattr(first, kind), "aa": image}})
            assert changed.identity != first.identity, "recipes choose images by it"
    table = (moved / "train.csv").read_text().splitlines()
    (moved / "train.csv").write_text("\n".join([*table[:-1], "dd,1 5"]) + "\n")
    assert prepare.prepare("kidney", moved, tmp_path / "two", fold_count=2).identity != first.identity


def fails(data, out, name="kidney", **options):
    with pytest.raises(KitError) as error:
        prepare.prepare(name, data, out, **options)
    assert not (out / "prepared.json").exists()
    return str(error.value)


def test_wrong_data_is_told_before_anything_is_written(blobs, tmp_path):
    out = tmp_path / "out"
    message = fails(tmp_path / "nowhere", out)
    assert "data folder is missing" in message
    assert "nowhere" in message
    data = blobs.make_competition(tmp_path / "data")
    assert "fix:" in fails(data, out, name="vasculature")
    message = fails(data, out, fold_count=9)
    assert "4 images cannot make 9 folds" in message
    whole = (data / "train" / "bb.tiff").read_bytes()
    (data / "train" / "bb.tiff").write_bytes(whole[: len(whole) // 2])
    message = fails(data, out)
    assert "bb.tiff" in message
    assert "fix:" in message
    (data / "train" / "bb.tiff").write_bytes(whole)
    with (data / "train.csv").open("a") as stream:
        stream.write("ee,1 5\n")
    assert "ee" in fails(data, out)
    assert not out.exists()


def test_an_id_that_leaves_the_folder_is_told_and_reaches_nothing(blobs, tmp_path):
    data = blobs.make_competition(tmp_path / "below" / "data")
    table = (data / "train.csv").read_bytes()
    for image_id in ("../../x", "../../../x"):
        (data / "train" / image_id).with_suffix(".tiff").write_bytes(
            (data / "train" / "bb.tiff").read_bytes()
        )
        before = contents(tmp_path)
        (data / "train.csv").write_bytes(table.replace(b"bb,", f"{image_id},".encode()))
        assert f"id {image_id!r} is no name of a file in the data folder" in fails(data, tmp_path / "out")
        (data / "train.csv").write_bytes(table)
        assert contents(tmp_path) == before


def test_ids_that_differ_by_case_alone_do_not_share_a_file(blobs, tmp_path):
    ids = ("Case 1", "case 1", "CASE 1", "x/../y")
    data = blobs.make_competition(tmp_path / "data", ids[:3])
    made = prepare.prepare("kidney", data, tmp_path / "out", fold_count=3)
    files = {slides.files_of(made.root, 1, image_id).image for image_id in ids}
    assert len({path.name.lower() for path in files}) == len(ids)
    assert {path.parent for path in files} == {made.root / "slides" / "x1"}
    assert all(slides.files_of(made.root, 1, image_id).image.is_file() for image_id in ids[:3])


def test_broken_tile_table_names_tile_and_columns(tmp_path):
    data = shutil.copytree(SAMPLE / "vasculature", tmp_path / "data")
    lines = (data / "tile_meta.csv").read_text().splitlines()
    first = lines[1].split(",")
    (data / "tile_meta.csv").write_text(
        "\n".join([lines[0], ",".join([*first[:3], "?", "0"]), *lines[2:]]) + "\n"
    )
    message = fails(data, tmp_path / "out", name="vasculature")
    assert f"tile {first[0]} has no dataset and position in numbers" in message
    assert "tile_meta.csv" in message
    (data / "tile_meta.csv").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    assert f"{first[0]} has no row" in fails(data, tmp_path / "out", name="vasculature")


def test_prepared_data_of_another_competition_is_kept(blobs, tmp_path):
    data, toml = blobs.make_competition(tmp_path / "data"), tmp_path / "discs.toml"
    toml.write_text('name = "discs"\nslug = "find-the-discs"\nlike = "kidney"\n')
    made = prepare.prepare("kidney", data, tmp_path / "out", reductions=(4,))
    for command in (prepare.prepare, prepare.plan):
        with pytest.raises(KitError, match="holds the prepared data of kidney") as error:
            command(toml, data, tmp_path / "out")
        assert "--out for discs" in str(error.value)
    assert prepared.load(tmp_path / "out").identity == made.identity
    (tmp_path / "out" / prepared.NAME).write_text("{")
    assert prepare.prepare(toml, data, tmp_path / "out", reductions=(4,)).competition == "discs"


def test_a_tile_table_that_is_no_text_is_told(blobs, tmp_path):
    data = blobs.make_competition(tmp_path / "data")
    (data / "tile_meta.csv").write_bytes(b"id,dataset,i,j\naa,1,0,\xff\x00\n")
    assert "not a readable CSV file" in fails(data, tmp_path / "out")
    (data / "tile_meta.csv").write_text("id,dataset,i,j\naa,1,0\n")
    assert "tile_meta.csv:2" in fails(data, tmp_path / "out")


def test_prepared_folders_that_are_none_say_what_to_run(blobs, tmp_path):
    with pytest.raises(KitError, match="no prepared data here") as error:
        prepared.load(tmp_path)
    assert "train_local prepare" in str(error.value)
    data = blobs.make_competition(tmp_path / "data")
    made = prepare.prepare("kidney", data, tmp_path / "out", reductions=(4,))
    with pytest.raises(KitError, match="there is no fold 4: the prepared data has 4"):
        made.fold(4)
    data.rename(tmp_path / "gone")
    with pytest.raises(KitError, match="the competition's folder is no longer there") as error:
        prepared.load(tmp_path / "out")
    assert "--data" in str(error.value)
    (tmp_path / "out" / "prepared.json").write_text('{"schema": 3, "images": [], "unlabelled": []}')
    with pytest.raises(KitError, match="competition is missing"):
        prepared.load(tmp_path / "out")
