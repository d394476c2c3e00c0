"""GeoJSON as QuPath and others write it: what is a region, of which class, and what is told."""

import copy
import json

import numpy as np
import pytest

from kit.competitions.report import Report
from kit.local.competitions import geojson, polygon_files
from kit.local.competitions.remarks import Remarks
from kit.masks import coco, rle

SQUARE, HOLE = [[5, 5], [25, 5], [25, 25], [5, 25], [5, 5]], [[10, 10], [20, 10], [20, 20], [10, 20]]
OTHER = [[40, 30], [60, 30], [60, 50], [40, 50], [40, 30]]
TUMOR = {"objectType": "annotation", "classification": {"name": "Tumor", "color": [200, 0, 0]}}
POSITIVE = {"classification": {"names": ["Tumor", "Positive"], "color": [200, 50, 0]}}
TRUTH = 'form = "polygons"\nfile = "train/{id}.geojson"\nscored = ["Tumor", "Tumor: Positive"]\n'


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, properties=TUMOR, **more):
    return {"type": "Feature", "id": "1f0c", "geometry": geometry, "properties": properties, **more}


def read(value):
    remarks, report = Remarks(), Report("")
    found = list(geojson.polygons(json.loads(json.dumps(value)), "FILE", remarks))
    remarks.tell(report)
    return [(item.type, item.rings) for item in found], [str(item) for item in report.findings]


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        (TUMOR, "Tumor"),
        (POSITIVE, "Tumor: Positive"),
        ({"classification": {"name": "Positive", "names": ["Tumor ", "Positive"]}}, "Tumor: Positive"),
        ({"classification": {"names": []}}, ""),
        ({"classification": {"names": None, "name": "Tumor"}}, "Tumor"),
        ({"classification": {"name": None}}, ""),
        ({"classification": {}}, ""),
        ({"classification": "Tumor"}, "Tumor"),
        ({"classification": None}, ""),
        ({}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_class_of_a_feature(properties, name):
    assert read(feature(polygon(SQUARE), properties)) == ([(name, [SQUARE])], [])


def test_a_feature_without_properties_has_no_class():
    value = feature(polygon(SQUARE))
    del value["properties"]
    assert read([value]) == ([("", [SQUARE])], [])


GEOMETRIES = [polygon(SQUARE, HOLE), polygon(OTHER)]
WHOLE = [("Tumor", [SQUARE, HOLE]), ("Tumor", [OTHER])]
NAMELESS = [("", rings) for _, rings in WHOLE]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"type": "FeatureCollection", "features": [feature(item) for item in GEOMETRIES]}, WHOLE),
        ({"features": [feature(item) for item in GEOMETRIES]}, WHOLE),
        ([feature(item) for item in GEOMETRIES], WHOLE),
        ([{"geometry": item, "properties": TUMOR} for item in GEOMETRIES], WHOLE),
        ([{"type": "FeatureCollection", "features": [feature(item)]} for item in GEOMETRIES], WHOLE),
        (feature({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [OTHER]]}), WHOLE),
        (feature({"type": "GeometryCollection", "geometries": GEOMETRIES}), WHOLE),
        ({"type": "GeometryCollection", "geometries": GEOMETRIES}, NAMELESS),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [OTHER]]}, NAMELESS),
        (GEOMETRIES, NAMELESS),
        ([SQUARE, OTHER], [("", [SQUARE]), ("", [OTHER])]),
        (feature({"type": "polygon", "coordinates": [SQUARE]}), [("Tumor", [SQUARE])]),
    ],
)
def test_every_legal_frame_holds_the_same_regions(value, expected):
    assert read(value) == (expected, [])


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (None, "note: 1 features have no geometry and are left out"),
        ({"type": "Polygon", "coordinates": []}, "note: 1 features have no geometry and are left out"),
        (
            {"type": "GeometryCollection", "geometries": []},
            "note: 1 features have no geometry and are left out",
        ),
        (
            {"type": "Point", "coordinates": [3, 4]},
            "note: 1 features are no regions (Point) and are left out",
        ),
        ({"type": "MultiPoint", "coordinates": [[3, 4]]}, "no regions (MultiPoint)"),
        ({"type": "LineString", "coordinates": [[3, 4], [5, 6]]}, "no regions (LineString)"),
        ({"type": "MultiLineString", "coordinates": [[[3, 4], [5, 6]]]}, "no regions (MultiLineString)"),
    ],
)
def test_what_is_no_region_is_left_out_with_a_note(geometry, said):
    found, (note,) = read([feature(geometry), feature(polygon(SQUARE))])
    assert found == [("Tumor", [SQUARE])]
    assert said in note
    assert "[FILE, feature 1 (id 1f0c)]" in note


def drawn(rings, height=64, width=80):
    """Pixels and remarks of one region."""
    remarks, report = Remarks(), Report("")
    item = polygon_files.Outlines(number=1, type="", rings=rings)
    runs = item.runs(height, width, "FILE, annotation 1", remarks)
    remarks.tell(report)
    return rle.decode(runs, height, width), [f"{item.level}: {item.message}" for item in report.findings]


@pytest.mark.parametrize("by", [0.4, 3, 60])
def test_outlines_that_leave_the_image_are_cut_off_with_a_note(by):
    left_HW, said = drawn([[[-by, 10], [20, 10], [20, 30], [-by, 30]]])
    expected_HW = np.zeros((64, 80), bool)
    expected_HW[10:31, :21] = True
    assert np.array_equal(left_HW, expected_HW)
    assert said == ["note: 1 outlines leave their image and are cut off at its border"]
    lower_HW, said = drawn([[[60, 50], [80 + by, 50], [80 + by, 64 + by], [60, 64 + by]]])
    assert np.array_equal(lower_HW[50:, 60:], np.ones((14, 20), bool))
    assert lower_HW.sum() == 14 * 20
    assert len(said) == 1


def test_outlines_far_outside_or_altogether_outside_are_an_alarm():
    _, said = drawn([[[0, 0], [500, 0], [500, 500]]])
    assert said == ["alarm: 1 outlines reach far outside their image and are cut off at its border"]
    empty_HW, said = drawn([[[100, 10], [120, 10], [120, 30]]])
    assert said == ["alarm: 1 outlines lie outside their image altogether and are left out"]
    assert not empty_HW.any()


def test_rings_of_fewer_than_three_vertices_are_left_out_with_a_note():
    expected_HW, _ = drawn([SQUARE])
    found_HW, said = drawn([SQUARE, [[9, 9]], []])
    assert np.array_equal(found_HW, expected_HW)
    assert said == ["note: 1 outlines have rings of fewer than three vertices, which are left out"]
    found_HW, said = drawn([[[9, 9], [7, 7]], HOLE])
    assert not found_HW.any(), "a hole is no region"
    assert len(said) == 1


@pytest.fixture
def folder(case):
    made = case.make("instance", TRUTH)
    value = {
        "type": "FeatureCollection",
        "features": [feature(polygon(SQUARE)), feature(polygon(OTHER), POSITIVE)],
    }
    made.write("train/a.geojson", value)
    made.write("train/b.geojson", {**value, "features": value["features"][:1]})
    return made


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_derived_classes_are_truth(case, folder, capsys, kind):
    folder = case.make(kind, TRUTH)
    assert folder.findings() == []
    first_HW, second_HW = drawn([SQUARE])[0], drawn([OTHER])[0]
    if kind == "semantic":
        rows = {
            "a": rle.to_kaggle(rle.encode(first_HW | second_HW)),
            "b": rle.to_kaggle(rle.encode(first_HW)),
        }
    else:
        packed = [coco.pack(coco.encode(mask_HW)) for mask_HW in (first_HW, second_HW)]
        rows = {"a": f"0 0.9 {packed[0]} 0 0.8 {packed[1]}", "b": f"0 0.9 {packed[0]}"}
    assert folder.run("score", rows, "--split", "train", "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["instance", "semantic"])
def test_a_class_that_is_left_out_is_always_told(case, folder, capsys, kind):
    folder = case.make(kind, TRUTH)
    value = json.loads((folder.data / "train/a.geojson").read_text())
    value["features"].append(feature(polygon(HOLE), {"classification": {"name": "Stroma"}}))
    value["features"].append(feature(polygon(HOLE), None))
    folder.write("train/a.geojson", value)
    said = folder.findings()
    assert [text.split(" [")[0] for text in said] == [
        "note: 1 annotations without a type are left out",
        "note: 1 annotations of type Stroma are left out",
    ]
    assert folder.run("score", {"a": "", "b": ""}, "--split", "train") == 0
    assert "1 annotations of type Stroma are left out" in capsys.readouterr().out


def test_a_scored_class_that_is_nowhere_beside_one_that_is_left_out_is_an_alarm(folder):
    value = json.loads((folder.data / "train/a.geojson").read_text())
    changed = copy.deepcopy(value)
    changed["features"][1]["properties"] = {"classification": {"names": ["Tumour", "Positive"]}}
    folder.write("train/a.geojson", changed)
    (alarm,) = folder.findings("alarm")
    assert alarm.startswith("alarm: no annotation is of the type 'Tumor: Positive'")
    assert "types that are left out: Tumour: Positive; is one of them meant?" in alarm


@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        ("1" + "0" * 400, "vertex 1 of ring 0 (inf, 5) is no place in an image"),
        ("1" + "0" * 5000, "vertex 1 of ring 0 (inf, 5) is no place in an image"),
        ("1e308", "vertex 1 of ring 0 (1e+308, 5) is no place in an image"),
        ("1e400", "vertex 1 of ring 0 (inf, 5) is no place in an image"),
        ("NaN", "vertex 1 of ring 0 (nan, 5) is no place in an image"),
        ("-Infinity", "vertex 1 of ring 0 (-inf, 5) is no place in an image"),
        ("null", "ring 0 is no list of (x, y): None is no number"),
        ('"25"', "ring 0 is no list of (x, y): '25' is no number"),
        ("[25]", "ring 0 is no list of (x, y): [25] is no number"),
    ],
)
def test_a_coordinate_that_is_none_is_an_error_that_names_the_feature(folder, bad, shown):
    path = folder.data / "train/a.geojson"
    path.write_text(path.read_text().replace("[25, 5]", f"[{bad}, 5]"))
    (error,) = folder.findings("error")
    assert shown in error
    assert f"[{path}, feature 1 (id 1f0c)]" in error


@pytest.mark.parametrize("image_id", ['"a\\u0000b"', '"\\ud800"', "null", "true", "1.5", "[]"])
def test_a_line_whose_id_can_be_no_image_is_named(case, image_id):
    folder = case.make("instance", 'form = "polygons"\nfile = "t.jsonl"\n')
    path = folder.write("t.jsonl", f'{{"id": {image_id}, "annotations": []}}\n')
    (error,) = folder.findings("error")
    assert "this line has no id that is an integer or a printable text" in error
    assert f"[{path}:1]" in error


def test_blanks_around_a_class_are_no_part_of_it(folder):
    path = folder.data / "train/a.geojson"
    before = folder.findings()
    path.write_text(path.read_text().replace('"Tumor', '" Tumor'))
    assert folder.findings() == before


def test_a_file_in_another_encoding_says_so(folder):
    path = folder.data / "train/a.geojson"
    path.write_bytes(path.read_text().encode("utf-16"))
    (error,) = folder.findings("error")
    assert "no readable JSON file: it is not UTF-8" in error
    assert "save it as UTF-8" in error


@pytest.mark.parametrize("key", ["id", "type"])
def test_half_a_letter_in_a_name_can_be_told(folder, key):
    path = folder.data / "train/a.geojson"
    value = json.loads(path.read_text())
    feature = value["features"][0]
    if key == "id":
        feature |= {"id": "x\ud800", "geometry": None}
    else:
        feature["properties"] = {"classification": "x\ud800"}
    path.write_text(json.dumps(value))
    notes = folder.findings("note")
    assert any("x\\ud800" in text for text in notes)
    assert "".join(notes).encode()
