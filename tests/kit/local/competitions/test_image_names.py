"""Images under other names than the definition's: ids with a suffix, .svs, .TIF; and rows per object."""

import contextlib
import json

import numpy as np
import pytest

from kit import competitions
from kit.competitions import rules
from kit.competitions.parsing import parse
from kit.competitions.path_pattern import PathPattern, is_file, plain_id, spelled
from kit.errors import KitError
from kit.masks import coco

TABLE = 'form = "text"\nfile = "train.csv"\nmask = "rle"\n'
RUNS = "10 20 300 40"


def score(folder, capsys, rows):
    assert folder.run("score", rows, "--split", "train", "--json") == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)["value"]


@pytest.mark.parametrize(
    ("pattern", "files", "ids"),
    [
        ("{id}.tif", "abt", ("a.tif", "b.tif", "t.tif")),
        ("{id}.tif", "abt", ("a.TIF", "b.tiff", "t")),
        ("{id}", ("a.tif", "b.svs", "t.TIFF"), ("a.tif", "b.svs", "t.TIFF")),
        ("{id}", ("a.tif", "b.svs", "t.TIFF"), ("a", "b", "t")),
        ("{id}.tif", ("a.TIF", "b.Tif", "T.tif"), ("a", "b", "t")),
        ("{id}.svs", ("a.svs", "b.SVS", "t.svs"), ("a", "b", "t.svs")),
        ("{id}.qptiff", ("a.qptiff", "b.qptiff", "t.qptiff"), "abt"),
        ("{id}.scan", ("a.scan", "b.scan", "t.scan"), "abt"),
        ("{id}.ome.tif", ("a.ome.tif", "b.OME.TIF", "t.ome.tif"), ("a.ome.tif", "b", "t")),
        ("{id}/im_{id}.tif", ("a/im_a.tif", "b/IM_b.TIF", "t/im_t.tif"), ("a", "b.tif", "t")),
    ],
)
def test_ids_find_their_images(case, capsys, pattern, files, ids):
    names = [name if "." in name else f"{name}.tif" for name in files]
    paths = {"train": f"train/{pattern}", "test": f"test/{pattern}"}
    folder = case.make(
        "semantic", TABLE, *(f"train/{name}" for name in names[:2]), f"test/{names[2]}", **paths
    )
    folder.write("train.csv", f"id,rle\n{ids[0]},{RUNS}\n{ids[1]},{RUNS}\n")
    folder.write("sample_submission.csv", f"id,mask\n{ids[2]},\n")
    assert folder.findings("error") == folder.findings("alarm") == []
    assert score(folder, capsys, dict.fromkeys(ids[:2], RUNS)) == 1.0
    assert folder.run("validate", {ids[2]: "3 4"}) == 0
    assert "error" not in capsys.readouterr().out
    assert folder.competition.size_of(folder.data, ids[2]) == (case.height, case.width)
    (folder.data / "sample_submission.csv").unlink()
    (found,) = folder.competition.test_ids(folder.data)
    assert plain_id(found).lower() == "t"


def test_truth_and_metadata_treat_ids_with_and_without_a_suffix_alike(case, capsys):
    truth = TABLE + 'solution = "solution.csv"\n'
    folder = case.make("semantic", truth)
    meta = (
        '[metadata]\ntrain = "meta.csv"\ntest = "meta.csv"\ncolumns = {organ = "organ", group = "patient"}\n'
    )
    folder.toml.write_text(folder.toml.read_text() + meta)
    folder.write("train.csv", f"id,rle\na.tif,{RUNS}\nb,{RUNS}\n")
    folder.write("meta.csv", "id,organ,patient\na,lung,1\nb.TIFF,colon,2\ntest/t.tif,skin,3\n")
    folder.write("sample_submission.csv", "id,mask\nt.tif,\n")
    folder.write("solution.csv", f"id,rle\nt,{RUNS}\n")
    assert folder.findings("error") == folder.findings("alarm") == []
    labelled = folder.labelled()
    assert [labelled.group_of(key) for key in labelled.train_ids()] == ["1", "2"]
    organs = {key: folder.competition.info(folder.data, key, "train").organ for key in ("a.tif", "b")}
    assert organs == {"a.tif": "lung", "b": "colon"}
    assert folder.competition.info(folder.data, "t.tif").organ == "skin"
    assert folder.run("score", {"t.tif": RUNS}, "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == 1.0
    folder.write("train.csv", f"id,rle\na.tif,{RUNS}\na,{RUNS}\n")
    (error,) = folder.findings("error")
    assert error.startswith("error: id a is there twice")


def test_an_image_under_another_spelling_is_noted_and_a_missing_one_is_named(case):
    folder = case.make("semantic", TABLE, "train/a.TIF", "train/b.tif", "test/t.tif")
    folder.write("train.csv", f"id,rle\na,{RUNS}\nb,{RUNS}\n")
    (note,) = folder.findings()
    assert note.startswith(
        "note: 1 images are found although train/{id}.tif and their ids spell them in another"
    )
    assert "train/a.TIF for id a" in note
    folder.images("train/A.tif")
    (error,) = folder.findings("error")
    assert "image is missing" in error
    assert "train/a.tif" in error


@pytest.mark.parametrize("name", ["TRAIN.csv", "train.CSV"])
def test_a_truth_file_may_differ_in_case(case, capsys, name):
    folder = case.make("semantic", TABLE)
    folder.write(name, f"id,rle\na,{RUNS}\nb,{RUNS}\n")
    assert folder.findings() == []
    assert score(folder, capsys, dict.fromkeys("ab", RUNS)) == 1.0


def test_coco_files_name_images_of_any_suffix(case):
    truth = 'form = "coco"\nfile = "t.json"\n'
    folder = case.make(
        "instance",
        truth,
        "train/a.svs",
        "train/b.SVS",
        "test/t.svs",
        train="train/{id}.svs",
        test="test/{id}.svs",
    )
    images = [
        {"id": n, "file_name": f"{name}", "height": 64, "width": 80}
        for n, name in enumerate(("a.svs", "B.png"))
    ]
    square = [[10, 10, 30, 10, 30, 30, 10, 30], [50, 50], []]
    annotation = {"image_id": "0", "category_id": 7, "segmentation": square}
    deleted = {"image_id": 1, "category_id": "7", "segmentation": [], "bbox": [0, 0, 0, 0]}
    value = {"images": images, "annotations": [annotation, deleted], "categories": [{"id": 7, "name": "x"}]}
    folder.write("t.json", value)
    assert folder.findings("error") == []
    said = " ".join(folder.findings("note"))
    assert "1 annotations have polygons of one or two points, which are left out" in said
    assert "1 annotations cover no pixel of their image and are left out" in said
    truth = folder.labelled().truth(["a", "B"])
    (mask,) = truth["a"].masks
    expected_HW = np.zeros((64, 80), bool)
    expected_HW[10:30, 10:30] = True
    assert np.array_equal(coco.decode(mask, 64, 80), expected_HW)
    deleted["bbox"] = [5, 5, 20, 20]
    folder.write("t.json", value)
    (error,) = folder.findings("error")
    assert "segmentation is empty" in error
    assert "annotation 2" in error


def test_a_pattern_without_an_id_is_refused_with_what_to_do():
    images = {"train": "train/a.tif", "test": "test/{id}.tif"}
    with pytest.raises(KitError) as caught:
        rules.check(parse({**competitions.presets.PRESETS["body"], "images": images}), where="here")
    assert "which has no {id} in it" in caught.value.problem
    assert (caught.value.where, caught.value.fix[:17]) == ("here [images]", "write a path with")


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("a.tif", "a"),
        ("a.OME.TIFF", "a"),
        ("a.b", "a.b"),
        (".tif", ".tif"),
        ("a", "a"),
        ("p/a.svs", "p/a"),
        ("", ""),
    ],
)
def test_the_plain_id_has_no_suffix_of_a_tiff(given, plain):
    assert plain_id(given) == plain


@pytest.mark.parametrize("image_id", ["a\0b", "x" * 5000, "\ud800", "..", "", "a/b"])
def test_impossible_ids_have_a_path_that_is_not_there_or_none(tmp_path, image_id):
    (tmp_path / "train").mkdir()
    for text in ("train/{id}.tif", "train/{id}", "{id}/{id}.tif"):
        with contextlib.suppress(KitError):  # tests/kit/competitions/test_path_pattern.py says when
            assert not is_file(PathPattern(text).path(tmp_path, image_id))
    assert spelled(tmp_path / f"a{image_id}" / "b.tif") is None


def test_rows_of_objects_are_united(case, capsys):
    folder = case.make("semantic", TABLE)
    folder.write("train.csv", "id,rle\na,10 20\na,300 40\nb,10 20\nb,15 30\n")
    errors = folder.findings("error")
    assert [error.split(" [")[0] for error in errors] == [
        "error: id a is there twice",
        "error: id b is there twice",
    ]
    assert 'write rows = "object" under [truth] if a row holds one object' in errors[0]
    folder = case.make("semantic", TABLE + 'rows = "object"\n')
    assert folder.findings() == []
    assert score(folder, capsys, {"a": RUNS, "b": "10 35"}) == 1.0
    folder.write("train.csv", "id,rle\na.tif,10 20\nb,\na,300 40\n")
    assert score(folder, capsys, {"a.tif": RUNS, "b": ""}) == 1.0


@pytest.mark.parametrize(
    ("kind", "truth"),
    [("instance", TABLE + 'rows = "image"\n'), ("semantic", 'form = "coco"\nfile = "x"\nrows = "object"\n')],
)
def test_rows_are_for_tables(case, kind, truth):
    with pytest.raises(KitError, match=r"truth.rows is for masks of whole images in a table"):
        case.make(kind, truth).competition  # noqa: B018


def test_a_table_of_objects_may_hold_metadata_as_long_as_its_rows_agree(case):
    folder = case.make("semantic", TABLE + 'rows = "object"\n')
    folder.toml.write_text(
        folder.toml.read_text() + '[metadata]\ntrain = "train.csv"\ncolumns = {organ = "organ"}\n'
    )
    folder.write("train.csv", "id,rle,organ\na,10 20,lung\na,300 40,lung\nb,10 20,colon\n")
    assert folder.findings() == []
    assert folder.competition.info(folder.data, "a", "train").organ == "lung"
    folder.write("train.csv", "id,rle,organ\na,10 20,lung\na,300 40,skin\nb,10 20,colon\n")
    (alarm,) = folder.findings("alarm")
    assert "id a is there twice, with organ 'lung' and 'skin'" in alarm


@pytest.mark.parametrize(
    ("image_id", "fix"),
    [
        ("a.bmp", "is train/a.tif meant? Then the table needs the id 'a', or the definition another pattern"),
        ("train/a.tif", "is train/a.tif meant? Then the table needs the id 'a'"),
        ("train\\a.png", "is train/a.tif meant? Then the table needs the id 'a'"),
        ("other", "check the folder and the id"),
    ],
)
def test_an_id_that_finds_nothing_gets_a_hint(case, image_id, fix):
    folder = case.make("semantic", TABLE)
    folder.write("train.csv", f"id,rle\n{image_id},{RUNS}\nb,{RUNS}\n")
    (error,) = folder.findings("error")
    assert error.startswith("error: image is missing")
    assert f"-> {fix}" in error


def test_images_without_truth_are_told(case):
    folder = case.make("semantic", TABLE)
    folder.write("train.csv", f"id,rle\na.TIF,{RUNS}\n")
    said = folder.findings()
    assert any(text.startswith("note: without truth and not used: 1 image (the first is b)") for text in said)


@pytest.mark.parametrize("truth", [TABLE, TABLE + 'rows = "object"\n'], ids=["image", "object"])
def test_two_spellings_of_one_image_are_no_two_images(case, truth):
    folder = case.make("semantic", truth)
    folder.write("train.csv", f"id,rle\na,{RUNS}\nA,1 5\nb,{RUNS}\n")
    (error,) = folder.findings("error")
    assert "the ids a and A mean the same image" in error
    assert "train/a.tif" in error


@pytest.mark.parametrize("table", ["train.csv", "sample_submission.csv"])
def test_an_id_that_leads_out_of_the_folder_is_reported_with_all_other_faults(case, table):
    folder = case.make("semantic", TABLE)
    rows = {"train.csv": f"id,rle\na,{RUNS}\nb,{RUNS}\n", "sample_submission.csv": "id,mask\nt,\n"}
    for name, text in rows.items():
        folder.write(name, text + ("../../x,\nother,\n" if name == table else ""))
    outside, missing = folder.findings("error")
    assert "id '../../x' is no name of a file in the data folder" in outside
    assert "other.tif" in missing
