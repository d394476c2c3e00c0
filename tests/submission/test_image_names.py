"""Test images under other names than the definition's are predicted all the same."""

import csv


def test_ids_with_a_suffix_and_names_in_upper_case_are_predicted(kit_of_two, tools, tmp_path):
    data = tools.write_kidney(tmp_path / tools.slug, {"aa": (120, 150), "bb": (100, 130), "cc": (90, 110)})
    (data / "test" / "aa.tiff").rename(data / "test" / "aa.TIFF")
    (data / "sample_submission.csv").write_text("id,predicted\naa,\nbb.tiff,\ncc.TIF,\n")
    outcome = tools.run(
        kit_of_two.script, tools.mount(tmp_path / "input", kit_of_two, data), tmp_path / "out"
    )
    assert outcome.code == 0, outcome.text
    assert {image["row"] for image in outcome.report["images"]} == {"rung 2"}
    with (outcome.output / "submission.csv").open(newline="") as stream:
        assert [row["id"] for row in csv.DictReader(stream)] == ["aa", "bb.tiff", "cc.TIF"]
