import json

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kit.competitions.labels_format import Truth
from kit.competitions.path_pattern import PathPattern
from kit.errors import KitError
from kit.local.competitions import truth_readers
from kit.local.competitions.polygon_files import Outlines
from kit.masks import coco, rle

LABEL_HW = np.zeros((6, 8), np.uint16)
LABEL_HW[0:2, 0:3] = 7
LABEL_HW[2:6, 3:8] = 300
LABEL_HW[4, 0] = 7


PAIR = coco.from_runs(np.array([[8, 2]]), 6, 8)


def decoded(regions):
    return [rle.decode(region.runs, 6, 8).tolist() for region in regions]


def single(reader, folder, place):
    (entry,) = reader.entries(folder, place)
    return reader.regions(entry, 6, 8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_mask_image_is_foreground_or_one_instance_a_value(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "png":
        assert cv2.imwrite(str(path), LABEL_HW)
    else:
        tifffile.imwrite(path, LABEL_HW[None])  # an axis of length one
    truth = Truth(form="images", file=f"{{id}}.{suffix}")
    instances = single(truth_readers.ImageTruth(truth, "instance"), tmp_path, truth.file)
    assert decoded(instances) == [np.equal(LABEL_HW, value).tolist() for value in (7, 300)]
    whole = single(truth_readers.ImageTruth(truth, "semantic"), tmp_path, truth.file)
    assert decoded(whole) == [(LABEL_HW > 0).tolist()]


@given(arrays(np.uint8, (6, 8), elements=st.integers(0, 3)))
def test_instances_of_any_labels_are_exact(tmp_path_factory, label_HW):
    folder = tmp_path_factory.mktemp("labels")
    assert cv2.imwrite(str(folder / "a.png"), label_HW)
    truth = Truth(form="images", file="{id}.png")
    found = single(truth_readers.ImageTruth(truth, "instance"), folder, truth.file)
    assert decoded(found) == [(label_HW == value).tolist() for value in np.unique(label_HW) if value]


def test_a_coloured_mask_image_is_foreground_where_any_colour_is_but_no_labels(tmp_path):
    colours_HWC = np.zeros((6, 8, 4), np.uint8)
    colours_HWC[..., 3] = 255
    colours_HWC[1, 2, 1] = 9
    assert cv2.imwrite(str(tmp_path / "a.png"), colours_HWC)
    tifffile.imwrite(tmp_path / "a.tif", colours_HWC, photometric="rgb", extrasamples=["unassalpha"])
    for suffix in ("tif", "png"):
        truth = Truth(form="images", file=f"{{id}}.{suffix}")
        (mask_HW,) = decoded(single(truth_readers.ImageTruth(truth, "semantic"), tmp_path, truth.file))
        assert np.flatnonzero(mask_HW).tolist() == [1 * 8 + 2]
    with pytest.raises(KitError, match="a colour is no number of an instance"):
        single(truth_readers.ImageTruth(truth, "instance"), tmp_path, truth.file)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_mask_image_that_is_damaged_or_of_another_size_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"II*\0 and then nothing")
    truth = Truth(form="images", file="{id}" + path.suffix)
    reader = truth_readers.ImageTruth(truth, "semantic")
    with pytest.raises(KitError, match="mask image cannot be read") as caught:
        single(reader, tmp_path, truth.file)
    assert caught.value.where == str(path)
    tifffile.imwrite(path, LABEL_HW) if path.suffix == ".tif" else cv2.imwrite(str(path), LABEL_HW)
    (entry,) = reader.entries(tmp_path, truth.file)
    with pytest.raises(KitError, match=r"mask image has 6 x 8 pixels \(height x width\), its image 8 x 6"):
        reader.regions(entry, 8, 6)


@pytest.mark.parametrize("size", [(1, 8), (8, 1), (1, 1), (2, 3)])
@pytest.mark.parametrize("axes", [(), (0,), (0, 1), (2,)], ids=["plain", "front", "two in front", "behind"])
@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_images_of_one_row_or_column_keep_it_and_lose_other_axes_of_length_one(tmp_path, size, axes, kind):
    label_HW = np.ones(size, np.uint8)
    label_HW[0, 0] = 0
    tifffile.imwrite(tmp_path / "a.tif", np.expand_dims(label_HW, axes))
    reader = truth_readers.ImageTruth(Truth(form="images", file="{id}.tif"), kind)
    (entry,) = reader.entries(tmp_path, "{id}.tif")
    regions = reader.regions(entry, *size)
    assert [rle.decode(region.runs, *size).tolist() for region in regions] == (
        [(label_HW == 1).tolist()] if label_HW.any() else []
    )


def test_a_coloured_mask_of_one_row_is_no_stack_of_rows(tmp_path):
    colours_HWC = np.zeros((1, 8, 3), np.uint8)
    colours_HWC[0, 2:4, 1] = 5
    assert cv2.imwrite(str(tmp_path / "a.png"), colours_HWC)
    reader = truth_readers.ImageTruth(Truth(form="images", file="{id}.png"), "semantic")
    (entry,) = reader.entries(tmp_path, "{id}.png")
    (region,) = reader.regions(entry, 1, 8)
    assert region.runs.tolist() == [[2, 2]]


@pytest.mark.parametrize("offset", range(8, 260, 4))
def test_whatever_is_damaged_in_a_mask_is_told_and_never_asks_for_endless_memory(tmp_path, offset):
    tifffile.imwrite(tmp_path / "a.tif", LABEL_HW, compression="zlib", metadata=None)
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    whole[offset : offset + 3] = b"\xff\x7f\xee"
    (tmp_path / "a.tif").write_bytes(whole)
    reader = truth_readers.ImageTruth(Truth(form="images", file="{id}.tif"), "instance")
    (entry,) = reader.entries(tmp_path, "{id}.tif")
    told = None
    try:
        reader.regions(entry, 6, 8)
    except KitError as error:
        told = error
    assert told is None or told.where == str(tmp_path / "a.tif")


def test_no_mask_images_at_all_are_an_error(tmp_path):
    truth = Truth(form="images", file="masks/{id}.png")
    reader = truth_readers.ImageTruth(truth, "semantic")
    assert not reader.exists(tmp_path, truth.file)
    with pytest.raises(KitError, match=r"there is no file masks/\{id\}.png"):
        list(reader.entries(tmp_path, truth.file))


def feature(*polygons, name="Cortex", kind="MultiPolygon"):
    coordinates = list(polygons) if kind == "MultiPolygon" else polygons[0]
    properties = {"classification": {"name": name}} if name else {}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties,
    }


BOX, HOLE = [[0, 0], [5, 0], [5, 5], [0, 5]], [[2, 2], [3, 2], [3, 3], [2, 3]]


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ([BOX, HOLE], ["", ""]),
        ([feature([BOX], kind="Polygon")], ["Cortex"]),
        ([feature([BOX], [HOLE], name="")], ["", ""]),
        ({"type": "FeatureCollection", "features": [feature([BOX, HOLE], kind="Polygon")]}, ["Cortex"]),
        ([], []),
    ],
)
def test_a_file_of_polygons_holds_rings_or_features(tmp_path, value, types):
    (tmp_path / "a.json").write_text(json.dumps(value))
    truth = Truth(form="polygons", file="{id}.json")
    reader = truth_readers.PolygonTruth(truth, "semantic")
    (entry,) = reader.entries(tmp_path, truth.file)
    assert [annotation.type for annotation in reader.annotations(entry)] == types
    assert len(reader.regions(entry, 6, 8)) == len(types)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{", "no readable JSON (JSONDecodeError"),
        ("7", "this is no list of features: 7"),
        ("[7]", "feature 1 is 7, no object"),
        ("{}", "feature 1: its geometry has no type: {}"),
        ('{"features": null}', "this is no list of features: None"),
        ('{"features": {}}', "this is no list of features: {}"),
        (
            '[{"id": "1f0c", "geometry": {"coordinates": [1, 2]}}]',
            "feature 1 (id 1f0c): its geometry has no type",
        ),
        (
            '[{"id": 7, "geometry": {"type": "Circle"}}]',
            "feature 1 (id 7): its geometry is a 'Circle', no polygon",
        ),
        ('[{"geometry": {"type": "Polygon"}}]', "feature 1: its Polygon has no list of coordinates"),
        (
            '[{"geometry": {"type": "MultiPolygon", "coordinates": [7]}}]',
            "feature 1: its MultiPolygon has a part",
        ),
        (
            '[{"geometry": {"type": "GeometryCollection"}}]',
            "feature 1: its GeometryCollection has no list of geom",
        ),
        (
            '[{"geometry": [], "properties": {"classification": {"names": [7]}}}]',
            "has no name that is a text",
        ),
        ('[{"geometry": [], "properties": 7}]', "has no name that is a text: 7"),
        ("[" * 20_000, "no readable JSON (RecursionError"),
        ('{"geometries": [' * 90 + "]}" * 90, "its geometry has no type"),
    ],
)
def test_a_wrong_file_of_polygons_is_named(tmp_path, text, shown):
    (tmp_path / "a.json").write_text(text)
    truth = Truth(form="polygons", file="{id}.json")
    with pytest.raises(KitError) as caught:
        single(truth_readers.PolygonTruth(truth, "semantic"), tmp_path, truth.file)
    place = caught.value.where.removeprefix(str(tmp_path / "a.json")).removeprefix(", ")
    assert shown in (f"{place}: {caught.value.problem}" if place else caught.value.problem)
    assert len(caught.value.problem) < 300


def test_a_nest_too_deep_to_be_compared_is_refused_when_drawn():
    nest = []
    for _ in range(5000):
        nest = [nest]
    entry = truth_readers.TruthEntry("a", "a.json", [Outlines(number=4, type="", rings=[nest])])
    with pytest.raises(KitError, match="ring 0 is no list") as caught:
        truth_readers.PolygonTruth(Truth(form="polygons", file="{id}.json"), "semantic").regions(entry, 6, 8)
    assert caught.value.where == "a.json, annotation 4"


@pytest.mark.parametrize(("encoding", "text"), [("pairs", " 9 2 "), ("coco", f" {coco.pack(PAIR)} ")])
def test_blanks_around_a_mask_and_both_words_for_none_are_understood(tmp_path, encoding, text):
    (tmp_path / "t.csv").write_text(f"id,m\na,{text}\nb, -1 \nc, \n")
    reader = truth_readers.TextTruth(
        Truth(form="text", file="t.csv", mask="m", encoding=encoding, empty="-1"), "semantic"
    )
    found = [reader.regions(entry, 6, 8) for entry in reader.entries(tmp_path, "t.csv")]
    assert [[region.runs.tolist() for region in regions] for regions in found] == [[[[8, 2]]], [], []]


def test_instances_in_a_table_come_together_whatever_their_order(tmp_path):
    (tmp_path / "t.csv").write_text("id,m,more\na,1 2,\nb,,\na,9 1,x\n")
    truth = Truth(form="text", file="t.csv", mask="m")
    entries = list(truth_readers.TextTruth(truth, "instance").entries(tmp_path, "t.csv"))
    assert [entry.id for entry in entries] == ["a", "b"]
    found = [truth_readers.TextTruth(truth, "instance").regions(entry, 6, 8) for entry in entries]
    assert [[region.runs.tolist() for region in regions] for regions in found] == [[[[0, 2]], [[8, 1]]], []]


@pytest.mark.parametrize(
    ("text", "names", "ids"),
    [
        ("train/{id}.tif", ["train/a.tif", "train/b.c.tif", "train/d.tiff", "e.tif"], ["a", "b.c"]),
        ("{id}/{id}.tif", ["a/a.tif", "a/b.tif"], ["a"]),
        ("x/im_{id}_of_{id}.tif", ["x/im_1_of_1.tif", "x/im_1_of_2.tif"], ["1"]),
        ("{id}{id}.tif", ["aa.tif", "ab.tif"], ["a"]),
        ("tr[ai]n */{id}.tif", ["tr[ai]n */a.tif", "tran x/b.tif"], ["a"]),
        ("{id}.tif", ["a.tif", "._a.tif", ".tif"], ["a"]),  # the second is how macOS spoils archives
        ("**/{id}.tif", ["**/a.tif", "x/b.tif", "c.tif"], ["a"]),
    ],
)
def test_a_pattern_finds_the_ids_it_would_fill_in(tmp_path, text, names, ids):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    pattern = PathPattern(text)
    assert pattern.ids(tmp_path) == ids
    assert all(pattern.path(tmp_path, image_id).is_file() for image_id in ids)
