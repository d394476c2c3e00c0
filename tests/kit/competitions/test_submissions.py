import numpy as np
import pytest

from kit.local.competitions import submission_files
from kit.masks import coco, rle
from kit.predictions import Instances, SemanticMask

FULL = np.ones((10, 12), bool)
PART = np.zeros((10, 12), bool)
PART[2:5, 3:9] = True
OTHER = np.zeros((10, 12), bool)
OTHER[6:, 1:] = True


def prediction(competition, *masks_HW, scores=None):
    if competition.kind == "semantic":
        (mask_HW,) = masks_HW
        return SemanticMask(10, 12, rle.encode(mask_HW))
    given = np.linspace(0.9, 0.5, len(masks_HW)) if scores is None else np.array(scores)
    return Instances(10, 12, given, [coco.encode(mask_HW) for mask_HW in masks_HW])


def validated(folder, **predictions):
    rows = [folder.competition.rows(key, found)[0] for key, found in predictions.items()]
    path = folder.submission(*[[row[column] for column in folder.competition.columns] for row in rows])
    return folder.validate(path)


def alarms(report):
    assert report.ok
    return [finding.message for finding in report.findings if finding.level == "alarm"]


def test_a_sound_file_raises_no_alarm(each):
    one, two = (prediction(each.competition, mask_HW) for mask_HW in (PART, OTHER))
    if each.competition.kind == "instance":
        two.scores[:] = 0.3
    report = validated(each, cc=one, dd=two)
    assert report.findings == []
    assert report.facts == {"rows": 2.0, "rows without a mask": 0.0, "masks": 2.0}


def test_all_masks_empty(each):
    nothing = each.competition.empty(10, 12)
    assert alarms(validated(each, cc=nothing, dd=nothing)) == ["all masks are empty"]


def test_instances_without_pixels_are_empty_too(vasculature):
    hollow = prediction(vasculature.competition, np.zeros_like(PART))
    assert alarms(validated(vasculature, cc=hollow, dd=hollow)) == ["all masks are empty"]


def test_one_mask_covering_everything(each):
    one, all_of_it = (prediction(each.competition, mask_HW) for mask_HW in (PART, FULL))
    if each.competition.kind == "instance":
        one.scores[:] = 0.3
    assert alarms(validated(each, cc=one, dd=all_of_it)) == ["a mask of image dd covers the whole image"]
    nearly_HW = FULL.copy()
    nearly_HW[-1, -1] = False
    nearly = prediction(each.competition, nearly_HW)
    assert alarms(validated(each, cc=one, dd=nearly)) == []


def test_all_rows_alike(each):
    one = prediction(each.competition, PART)
    assert "all 2 rows hold the same masks (cc, dd)" in alarms(validated(each, cc=one, dd=one))


def test_some_rows_alike_are_counted_and_named(kidney):
    kidney.image("test", "ee", np.zeros((10, 12, 3), np.uint8))
    rows = [("cc", "1 5"), ("dd", "7 3"), ("ee", "1 5")]
    kidney.table("sample_submission.csv", ("id", "predicted"), *rows)
    assert alarms(kidney.validate(kidney.submission(*rows))) == ["2 rows hold the same masks (cc, ee)"]
    rows[1] = ("dd", "1 5")
    assert alarms(kidney.validate(kidney.submission(*rows))) == [
        "all 3 rows hold the same masks (cc, dd, ee)"
    ]


def test_many_full_masks_are_one_alarm(each):
    full = prediction(each.competition, FULL)
    (first, *_) = alarms(validated(each, cc=full, dd=full))
    assert first == "a mask of image cc covers the whole image, and so do masks in 1 more"


def test_a_file_far_from_the_training_images_is_an_alarm(each):
    one, two = np.zeros((2, 10, 12), bool)
    one[:9, :11] = two[1:, 1:] = True
    rows = [
        each.competition.rows(key, prediction(each.competition, m))[0]
        for key, m in (("cc", one), ("dd", two))
    ]
    path = each.submission(*[[row[column] for column in each.competition.columns] for row in rows])
    sizes = dict.fromkeys(("cc", "dd"), (10, 12))
    expected = each.labelled().plausibility()
    report, found = submission_files.inspect(each.competition, path, ["cc", "dd"], sizes, expected)
    assert list(found) == ["cc", "dd"]
    assert any("82.50% of their images, but" in text for text in alarms(report))
    assert report.facts["foreground where there is any"] == 0.825


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_byte_order_mark_line_ends_and_quotes_do_not_matter(each, end):
    row = each.competition.rows("cc", prediction(each.competition, PART))[0]
    empty = each.competition.rows("dd", each.competition.empty(10, 12))[0]
    lines = [",".join(f'"{cell}"' for cell in cells) for cells in (row, row.values(), empty.values())]
    path = each.root / "submission.csv"
    path.write_bytes(b"\xef\xbb\xbf" + end.join([*lines, "", ""]).encode())
    assert each.validate(path).findings == []
    parsed = submission_files.read(each.competition, path, {"cc": (10, 12), "dd": (10, 12)})
    assert (
        each.competition.rows("cc", parsed["cc"])[0][each.competition.columns[-1]]
        == row[each.competition.columns[-1]]
    )


def test_all_scores_alike(vasculature):
    flat = prediction(vasculature.competition, PART, OTHER, scores=[0.7, 0.7])
    empty = vasculature.competition.empty(10, 12)
    assert alarms(validated(vasculature, cc=flat, dd=empty)) == ["all 2 detections have the score 0.7"]


def test_missing_unknown_and_repeated_ids_are_all_reported(each):
    empty = each.competition.rows("cc", each.competition.empty(10, 12))[0]
    rest = [empty[column] for column in each.competition.columns[1:]]
    report = each.validate(each.submission(("cc", *rest), ("xx", *rest), ("cc", *rest)))
    messages = [finding.message for finding in report.findings if finding.level == "error"]
    assert messages == [
        "1 id is missing: dd",
        "1 id is not among the images to predict: xx",
        "id cc is there twice",
    ]


def test_an_id_with_blanks_around_it_is_another_id_to_kaggle(each):
    empty = each.competition.rows("x", each.competition.empty(10, 12))[0]
    rest = [empty[column] for column in each.competition.columns[1:]]
    report = each.validate(each.submission((" cc", *rest), ("dd", *rest)))
    (finding,) = [finding for finding in report.findings if finding.level == "error"]
    assert finding.message == "1 id has blanks around it: ' cc'"


def test_many_missing_ids_are_counted_not_listed(each):
    row = each.competition.rows("x", each.competition.empty(10, 12))[0]
    path = each.submission([row[column] for column in each.competition.columns])
    report = each.competition.validate(path, ["x", *map(str, range(9))], {})
    assert "9 ids are missing: 0, 1, 2, 3, 4 and 4 more" in [finding.message for finding in report.findings]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("", "file is empty"),
        ("id,wrong\ncc,\n", "columns are 'id,wrong'"),
        ("{columns}\n", "table has a header but no rows"),
    ],
)
def test_a_file_that_is_no_submission_is_one_error(each, content, shown):
    path = each.root / "submission.csv"
    path.write_text(content.format(columns=",".join(each.competition.columns)))
    (finding,) = each.validate(path).findings
    assert finding.level == "error"
    assert shown in finding.message
    assert ",".join(each.competition.columns) in finding.fix or "row for every image" in finding.fix


def test_the_first_error_is_raised_with_the_count_of_the_others(kidney):
    report = kidney.validate(kidney.submission(("cc", "1 x"), ("xx", "")))
    with pytest.raises(Exception, match=r"1 id is missing: dd \(and 2 more errors\)"):
        report.require_ok()
