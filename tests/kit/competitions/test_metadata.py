import json

import pytest

from kit.competitions.metadata import MetadataReader
from kit.competitions.metadata_format import Columns, Metadata
from kit.competitions.report import Report
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.local.competitions import metadata_tables

COLUMNS = Columns(
    organ="organ", source="lab", pixel_size="um", group="patient", height="rows", width="columns"
)
HEADER = "id,organ,lab,um,patient,rows,columns,more"
SIZES = {"a": (10, 12), "b": (10, 12)}


def written(folder, *rows, header=HEADER, **changes):
    (folder / "train.csv").write_text("\n".join([header, *rows]) + "\n")
    return MetadataReader(Metadata(**{"train": "train.csv", "columns": COLUMNS, **changes}))


def findings(reader, folder, sizes=SIZES):
    report = Report("x")
    metadata_tables.check(report, reader, folder, "train", sizes)
    return [str(finding).replace(str(folder), "DATA") for finding in report.findings]


def test_a_table_tells_of_each_image_and_its_group(tmp_path):
    reader = written(tmp_path, "a, lung ,north,0.5,p1,10,12,", "b,spleen,,0.25,p2,10.0,12,x")
    assert reader.info(tmp_path, "a", "train") == ImageInfo(0.5, "lung", "north")
    assert reader.info(tmp_path, "b", "train") == ImageInfo(0.25, "spleen", "")
    assert metadata_tables.group_of(reader, tmp_path, "b") == "p2"
    assert findings(reader, tmp_path) == []


def test_what_no_table_tells_holds_for_all(tmp_path):
    metadata = Metadata(organ="kidney", source="here", pixel_size=0.5)
    reader = MetadataReader(metadata)
    assert reader.info(tmp_path, "a", "test") == ImageInfo(0.5, "kidney", "here")
    assert metadata_tables.group_of(reader, tmp_path, "a") == "a"
    assert findings(reader, tmp_path) == []


@pytest.mark.parametrize("text", ["nan", "", "0", "-1", "inf", "unknown"])
def test_a_pixel_size_that_is_no_number_comes_from_source_and_organ_instead(tmp_path, text):
    sizes = {"north/lung": 0.7, "lung": 0.6}
    rows = (f"a,lung,north,{text},p,10,12,", f"b,lung,south,{text},p,10,12,", f"c,skin,south,{text},p,10,12,")
    reader = written(tmp_path, *rows, pixel_sizes=sizes)
    found = [reader.info(tmp_path, image_id, "train").pixel_size for image_id in "abc"]
    assert found == [0.7, 0.6, None]
    (line,) = findings(reader, tmp_path)
    assert f"alarm: 2 images have (a, b) no um (the first says {text!r})" in line
    assert "0.7 um is taken for the first" in line


def test_body_images_without_pixel_size_have_that_of_their_organ_and_source(body):
    rows = [("cc", "lung", "Hubmap", 10, 12, "", 4), ("dd", "lung", "HPA", 10, 12, "nan", 4)]
    header = (body.root / "test.csv").read_text().splitlines()[0].split(",")
    body.table("test.csv", header, *rows)
    found = {key: body.competition.info(body.root, key) for key in ("cc", "dd", "nobody")}
    assert found["cc"] == ImageInfo(0.7562, "lung", "Hubmap")
    assert found["dd"] == ImageInfo(0.4, "lung", "HPA")
    assert found["nobody"] == ImageInfo()


def test_pixel_sizes_of_body_are_those_the_second_place_used(body):
    sizes = {"kidney": 0.5, "prostate": 6.263, "largeintestine": 0.229, "spleen": 0.4945, "lung": 0.7562}
    header = (body.root / "test.csv").read_text().splitlines()[0].split(",")
    for source, expected in (("Hubmap", sizes), ("HPA", dict.fromkeys(sizes, 0.4))):
        body.table("test.csv", header, *[(organ, organ, source, 10, 12, "", 4) for organ in sizes])
        found = {organ: body.competition.info(body.root, organ).pixel_size for organ in sizes}
        assert found == expected


def test_each_competition_knows_what_its_folder_tells(kidney, body, vasculature):
    assert kidney.competition.info(kidney.root, "cc") == ImageInfo(0.5, "kidney", "Hubmap")
    assert body.competition.info(body.root, "dd") == ImageInfo(6.263, "prostate", "Hubmap")
    assert body.competition.info(body.root, "aa", "train") == ImageInfo(0.4, "spleen", "HPA")
    assert vasculature.competition.info(vasculature.root, "aa", "train") == ImageInfo(None, "kidney", "1")
    assert vasculature.competition.info(vasculature.root, "cc") == ImageInfo(None, "kidney", "")


def test_ids_may_carry_the_images_suffix(kidney):
    header = ("image_file", "width_pixels", "height_pixels", "patient_number")
    kidney.table("HuBMAP-20-dataset_information.csv", header, ("aa.tiff", 12, 10, 1), ("bb.tiff", 99, 0, 1))
    (line,) = [str(finding) for finding in kidney.check().findings]
    assert "alarm: image bb has another size in the table (bb: 0 x 99)" in line
    assert "that of the image's header is taken: 10 x 12" in line


def test_rows_without_id_are_left_out(kidney):
    """Spreadsheets leave empty rows below the table."""
    header = ("image_file", "width_pixels", "height_pixels")
    kidney.table(
        "HuBMAP-20-dataset_information.csv", header, ("aa.tiff", 12, 10), ("", "", ""), (" ", "", "")
    )
    assert kidney.check().findings == []


def test_a_changed_table_is_read_again(tmp_path):
    reader = written(tmp_path, "a,lung,north,0.5,p1,10,12,")
    assert reader.info(tmp_path, "a", "train").organ == "lung"
    (tmp_path / "train.csv").write_text(f"{HEADER}\na,spleen,north,0.5,p1,10,12,\n")
    assert reader.info(tmp_path, "a", "train").organ == "spleen"


def test_tables_in_json_are_lists_or_by_id(tmp_path):
    reader = MetadataReader(Metadata(test="t.json", columns=Columns(organ="organ", pixel_size="um")))
    (tmp_path / "t.json").write_text(json.dumps([{"id": 7, "organ": "lung", "um": 0.5, "more": []}]))
    assert reader.info(tmp_path, "7", "test") == ImageInfo(0.5, "lung", "")
    (tmp_path / "t.json").write_text('{"7": {"id": 1234, "organ": null, "um": NaN}}')
    assert reader.info(tmp_path, "7", "test") == ImageInfo(None, "", "")


@pytest.mark.parametrize("text", ["{", "3", "[3]", '[{"id": "7"}]', '{"7": 3}', "[" * 100_000])
def test_a_wrong_json_table_is_an_alarm_and_nothing_is_known(tmp_path, text):
    reader = MetadataReader(Metadata(test="t.json", columns=Columns(organ="organ")))
    (tmp_path / "t.json").write_text(text)
    assert reader.info(tmp_path, "7", "test") == ImageInfo()
    report = Report("x")
    metadata_tables.check(report, reader, tmp_path, "test", {"7": (1, 1)})
    (finding,) = report.findings
    assert finding.level == "alarm"
    assert "no table of images" in finding.message
    assert finding.fix == 'write [{"id": ..., ...}, ...] or {"<id>": {...}, ...}'


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        (["a,lung,n,1,p,10,12,"], "error: image b has no row [DATA/train.csv] -> folds need it"),
        (["a,l,n,1,p,10,12,", "b,l,n,1, ,10,12,"], "error: image b has no patient [DATA/train.csv]"),
        (
            ["a,l,n,1,p,10,12,", "a.tif,l,n,2,p,10,12,"],
            "error: id a is there twice, with um '1' and '2' [DATA/train.csv]",
        ),
        (
            ["a,l,n,1,p,10,12,", "b,l,n,1,p,12,10,"],
            "alarm: image b has another size in the table (b: 12 x 10)",
        ),
        (["a,l,n,1,p,10,12,", "b,l,n,1,p,,,"], "alarm: image b has another size in the table (b:  x )"),
        (["a,l"], "error: the header has 8 fields, this row 2 [DATA/train.csv:2]"),
    ],
)
def test_what_is_wrong_with_rows_is_said(tmp_path, rows, shown):
    (line,) = findings(written(tmp_path, *rows), tmp_path)
    assert shown in line


def test_a_missing_table_or_column_is_an_error_for_groups_and_an_alarm_for_the_rest(tmp_path):
    reader = written(tmp_path, "a,1", header="id,organ")
    assert "error: columns are 'id,organ'" in findings(reader, tmp_path)[0]
    (tmp_path / "train.csv").unlink()
    assert "error: file is missing [DATA/train.csv]" in findings(reader, tmp_path)[0]
    with pytest.raises(KitError, match="file is missing"):
        metadata_tables.group_of(reader, tmp_path, "a")
    loose = MetadataReader(Metadata(train="train.csv", columns=Columns(organ="organ")))
    assert "alarm: file is missing [DATA/train.csv]" in findings(loose, tmp_path)[0]
    sizes_only = MetadataReader(Metadata(train="train.csv", columns=Columns(height="h", width="w")))
    assert findings(sizes_only, tmp_path) == []


def test_an_image_without_row_or_group_has_no_group(tmp_path):
    reader = written(tmp_path, "a,l,n,1, ,10,12,")
    for image_id, shown in (("b", "image b has no row"), ("a", "image a has no patient")):
        with pytest.raises(KitError, match=shown):
            metadata_tables.group_of(reader, tmp_path, image_id)
