import numpy as np
import pytest

from kit.competitions.report import Report
from kit.local.competitions import plausibility
from kit.local.competitions.labelled import LabelledData
from kit.masks import coco, rle
from kit.predictions import Instances, SemanticMask


def masks(*shares):
    """Images of 1000 pixels with a share of them covered."""
    return [
        SemanticMask(10, 100, np.array([[0, round(share * 1000)]] if share else rle.empty()))
        for share in shares
    ]


def cells(*sides, score=0.9):
    """One image with squares of these sides."""
    squares_HW = [np.pad(np.ones((side, side), bool), ((0, 100 - side), (0, 100 - side))) for side in sides]
    return Instances(
        100, 100, np.full(len(sides), score), [coco.encode(square_HW) for square_HW in squares_HW]
    )


def alarms(found, expected):
    report = Report("s.csv")
    plausibility.compare(report, plausibility.describe(found), plausibility.describe(expected))
    assert report.ok
    return [finding.message for finding in report.findings]


def test_masks_are_described_by_share_and_instances_by_their_median_too():
    found = plausibility.describe(masks(0.0, 0.1, 0.3, 0.0))
    assert (found.images, found.empty, found.shares, found.area) == (4, 0.5, (0.1, 0.3), None)
    assert found.mean_share == pytest.approx(0.2)
    assert plausibility.describe([cells(2, 4, 6), cells(8, score=0.4)]).area == 16
    assert plausibility.describe([cells(4, score=0.5)]).area == 16
    assert plausibility.describe([]) is None


def test_a_submission_like_the_training_images_raises_nothing():
    assert alarms(masks(0.02, 0.05, 0.0), masks(0.01, 0.08, 0.03)) == []
    assert alarms([cells(9, 10), cells(12)], [cells(8), cells(20, 3)]) == []


@pytest.mark.parametrize(("share", "shown"), [(0.5, "50.00%"), (0.001, "0.10%")])
def test_far_too_much_or_too_little_foreground_is_an_alarm(share, shown):
    expected = f"masks cover {shown} of their images, but 1.00% to 8.00% in training"
    assert alarms(masks(share, share), masks(0.01, 0.08)) == [expected]


def test_training_images_that_are_half_covered_do_not_excuse_full_ones():
    assert alarms(masks(0.9, 0.9), masks(0.5, 0.3)) == [
        "masks cover 90.00% of their images, but 30.00% to 50.00% in training"
    ]
    assert alarms(masks(0.7, 0.7), masks(0.5, 0.3)) == []


def test_many_more_empty_rows_than_in_training_are_an_alarm():
    found = masks(*[0.0] * 9, 0.2)
    assert alarms(found, masks(0.1, 0.2, 0.1)) == [
        "90% of the rows are empty, but 0% of the training images",
    ]
    assert alarms(found, masks(*[0.0] * 9, 0.1)) == []
    assert alarms(masks(0.0, 0.1), masks(0.1, 0.2)) == []  # half of them are no more than may be


def test_instances_of_quite_another_size_are_an_alarm():
    assert alarms([cells(*[2] * 90)], [cells(20, 20)]) == [
        "the median instance has 4 pixels, but 400 in training"
    ]


def test_nothing_is_said_where_there_is_nothing_to_compare():
    assert alarms(masks(0.0, 0.0), masks(0.1)) == []
    assert alarms(masks(0.9), masks(0.0)) == []
    assert alarms([cells(5, score=0.1)], [cells(20)]) == []


def test_a_sample_is_even_and_small():
    assert plausibility.sample(["a", "b"]) == ["a", "b"]
    taken = plausibility.sample([str(number) for number in range(1001)])
    assert len(taken) <= 200
    assert taken[1] == "6"


def test_the_training_images_of_a_folder_are_described(each, tmp_path):
    known = each.labelled().plausibility()
    assert known.images == 2
    assert 0 < known.shares[0] <= known.shares[1] < 1
    assert (known.area is None) == (each.competition.kind == "semantic")
    assert LabelledData(each.competition, tmp_path / "nowhere").plausibility() is None
