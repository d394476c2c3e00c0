"""Rungs of the kidney competition published one after the other, from rows on a real disk."""

import json
import time

import pytest

from kit.competitions import get
from kit.ensemble import EarlyStop, Ensemble, Kind, Member, Pass, Rung
from kit.plan.changes import LoseImage, LoseMember, LoseRow, StartRung
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, ValidateTask
from submission.runtime.result.publishing import Publisher
from submission.runtime.result.report import RunReport
from submission.runtime.result.submission_file import Submission

IDS = ("a", "b", "unreadable")


@pytest.fixture
def publisher(tmp_path):
    return two_rungs(tmp_path, "semantic")


def two_rungs(tmp_path, kind: Kind, stop: EarlyStop | None = None) -> Publisher:
    """Two started rungs; the third image is not in the ladder."""
    members = [
        Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
        for i in range(2)
    ]
    ensemble = Ensemble(
        competition="kidney",
        kind=kind,
        members=members,
        passes=[Pass(member=i, view="identity", seconds_per_megapixel=1.0) for i in range(2)],
        rungs=[
            Rung(passes=list(range(n)), weights=[1.0] * n, settings={}, cv=0.1, stop=stop if n == 1 else None)
            for n in (1, 2)
        ],
    )
    state = LadderState(ensemble, {"a": 1e-4, "b": 1e-4})
    for rung in range(2):
        state.apply(StartRung(rung))
    (tmp_path / "out").mkdir()
    submission = Submission(
        get("kidney"), IDS, dict.fromkeys(IDS, (10, 10)), tmp_path / "out" / "submission.csv"
    )
    submission.write_fallback()
    return Publisher(
        state, submission, RunReport(time.monotonic()), scratch=tmp_path, until=time.monotonic() + 3600
    )


def row(publisher: Publisher, rung: int, image: str, runs: str, doubt: float | None = None) -> None:
    """A worker has fused a row."""
    path = publisher.scratch / f"{rung}-{image}.json"
    path.write_text(json.dumps([{"id": image, "predicted": runs}]))
    publisher.state.finished_row(FuseTask(rung, image), str(path), doubt=doubt)


def csv(publisher: Publisher) -> list[str]:
    return publisher.submission.path.read_text().splitlines()[1:]


def test_a_complete_rung_is_validated_and_then_replaces_the_file(publisher):
    row(publisher, 0, "a", "1 3")
    publisher.compose()
    assert not publisher.validations, "image b has no row yet"
    row(publisher, 0, "b", "5 2")
    publisher.compose()
    publisher.compose()
    assert list(publisher.validations) == [ValidateTask(0, str(publisher.scratch / "rung0.csv"))]
    assert csv(publisher) == ["a,", "b,", "unreadable,"]
    publisher.publish_validated(publisher.validations.popleft())
    assert csv(publisher) == ["a,1 3", "b,5 2", "unreadable,"]
    assert publisher.submission.origins == {"a": "rung 1", "b": "rung 1", "unreadable": "fallback"}
    assert publisher.published == 0


def test_an_image_that_lost_its_row_keeps_the_one_of_the_rung_below(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    row(publisher, 1, "a", "1 4")
    publisher.state.apply(LoseRow(1, "b"))
    publisher.compose()
    publisher.publish_validated(publisher.validations[-1])
    assert csv(publisher) == ["a,1 4", "b,1 3", "unreadable,"]
    publisher.publish_validated(ValidateTask(0, str(publisher.scratch / "rung0.csv")))
    assert publisher.published == 1, "a lower rung that was validated later changes nothing"
    assert csv(publisher) == ["a,1 4", "b,1 3", "unreadable,"]


def test_the_report_names_the_rungs_that_are_in_the_file_and_not_those_that_came_since(publisher):
    row(publisher, 1, "a", "1 4")
    row(publisher, 0, "b", "5 2")
    publisher.state.apply(LoseRow(0, "a"))
    publisher.compose()
    row(publisher, 0, "a", "1 3")
    publisher.publish_validated(publisher.validations.popleft())
    assert csv(publisher) == ["a,1 4", "b,5 2", "unreadable,"]
    assert publisher.submission.origins == {"a": "rung 2", "b": "rung 1", "unreadable": "fallback"}


def test_at_the_end_the_best_complete_rung_is_published_and_results_make_room(publisher):
    results = publisher.scratch / "passes"
    results.mkdir()
    for image in "ab":
        row(publisher, 0, image, "1 3")
        row(publisher, 1, image, "1 4")
    publisher.finish([results])
    assert csv(publisher) == ["a,1 4", "b,1 4", "unreadable,"]
    assert publisher.submission.state == "rung 2"
    assert not results.exists()


def test_if_the_best_is_not_valid_the_next_is_published(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
        row(publisher, 1, image, "99 9")  # beyond the last pixel
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,1 3", "unreadable,"]
    (told,) = publisher.report.values["problems"]
    assert told["what"].startswith("the last file is not valid and was not used: ")


def test_of_the_first_rung_even_a_part_is_published(publisher):
    row(publisher, 0, "b", "5 2")
    publisher.finish([])
    assert csv(publisher) == ["a,", "b,5 2", "unreadable,"]
    assert publisher.submission.state == "part of rung 1"


def test_with_no_row_the_fallback_stays(publisher):
    for image in "ab":
        publisher.state.apply(LoseImage(image, "torn"))
    publisher.compose()
    assert not publisher.validations
    publisher.finish([])
    assert csv(publisher) == ["a,", "b,", "unreadable,"]
    assert publisher.published == -1


def test_a_file_that_cannot_be_replaced_stays_and_is_told(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    publisher.compose()
    task = publisher.validations.popleft()
    publisher.submission.path.unlink()
    publisher.submission.path.mkdir()
    publisher.publish_validated(task)
    assert publisher.published == -1
    assert "cannot write submission.csv" in publisher.failure.problem
    assert publisher.report.values["problems"]


def test_rows_of_a_rung_that_was_not_completed_stand_beside_those_of_the_one_before(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    row(publisher, 1, "b", "1 4")
    publisher.compose()
    publisher.publish_validated(publisher.validations.popleft())
    assert csv(publisher) == ["a,1 3", "b,1 3", "unreadable,"]
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,1 4", "unreadable,"]
    assert publisher.submission.state == "part of rung 2"
    assert publisher.submission.origins == {"a": "rung 1", "b": "rung 2", "unreadable": "fallback"}
    (event,) = [event for event in publisher.report.values["events"] if event.get("part")]
    assert (event["rung"], event["rows"]) == (1, 2)
    assert not publisher.report.values["problems"]


def test_they_do_so_even_if_the_rung_before_was_not_validated_yet(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    row(publisher, 1, "b", "1 4")
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,1 4", "unreadable,"]
    assert publisher.submission.state == "part of rung 2"


@pytest.mark.parametrize("validated", [True, False])
def test_where_scores_are_compared_across_images_only_a_whole_rung_is_published(tmp_path, validated):
    publisher = two_rungs(tmp_path, "instance")
    for image in "ab":
        row(publisher, 0, image, "1 3")
    row(publisher, 1, "b", "1 4")
    publisher.compose()
    if validated:
        publisher.publish_validated(publisher.validations.popleft())
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,1 3", "unreadable,"]
    assert publisher.submission.state == "rung 1"
    assert set(publisher.submission.origins.values()) == {"rung 1", "fallback"}


@pytest.mark.parametrize("validated", [True, False])
def test_if_the_part_is_not_valid_the_complete_rung_is_what_stands(publisher, validated):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    row(publisher, 1, "b", "99 9")  # beyond the last pixel
    publisher.compose()
    if validated:
        publisher.publish_validated(publisher.validations.popleft())
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,1 3", "unreadable,"]
    assert publisher.submission.state == "rung 1"
    assert publisher.published == 0
    (told,) = publisher.report.values["problems"]
    assert told["what"].startswith("the last file is not valid and was not used: ")


def test_a_row_that_got_better_and_the_rows_of_the_next_rung_are_published_together(publisher):
    for image in "ab":
        row(publisher, 0, image, "1 3")
    publisher.compose()
    publisher.publish_validated(publisher.validations.popleft())
    row(publisher, 0, "a", "1 2")
    row(publisher, 1, "b", "1 4")
    publisher.finish([])
    assert csv(publisher) == ["a,1 2", "b,1 4", "unreadable,"]


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_without_the_member_of_the_first_rung_a_part_of_the_next_is_published(tmp_path, kind):
    publisher = two_rungs(tmp_path, kind)
    publisher.state.apply(LoseMember(0, "damaged"))
    row(publisher, 1, "b", "5 2")
    publisher.finish([])
    assert csv(publisher) == ["a,", "b,5 2", "unreadable,"]
    assert publisher.submission.state == "part of rung 2"
    assert publisher.submission.origins["b"] == "rung 2"


@pytest.mark.parametrize(("kind", "runs"), [("semantic", "1 4"), ("instance", "1 3")])
def test_if_one_image_never_gets_its_first_row_the_others_have_their_best(tmp_path, kind, runs):
    publisher = two_rungs(tmp_path, kind)
    row(publisher, 0, "a", "1 3")
    row(publisher, 1, "a", "1 4")
    publisher.finish([])
    assert csv(publisher) == [f"a,{runs}", "b,", "unreadable,"]


def test_if_the_rows_of_a_later_incomplete_rung_are_not_valid_those_of_the_first_are_published(publisher):
    row(publisher, 0, "a", "1 3")
    row(publisher, 1, "a", "99 9")
    publisher.finish([])
    assert csv(publisher) == ["a,1 3", "b,", "unreadable,"]
    assert publisher.submission.state == "part of rung 1"


@pytest.mark.parametrize(("kind", "composed"), [("semantic", 1), ("instance", 0)])
def test_an_image_that_was_quicker_counts_as_done_only_where_rows_may_mix(tmp_path, kind, composed):
    publisher = two_rungs(tmp_path, kind)
    row(publisher, 1, "a", "1 4")  # another worker is still at its row of the first rung
    row(publisher, 0, "b", "1 3")
    publisher.compose()
    assert len(publisher.validations) == composed
    for task in list(publisher.validations):
        publisher.publish_validated(task)
        assert csv(publisher) == ["a,1 4", "b,1 3", "unreadable,"]
        assert publisher.submission.state == "rung 1"


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_an_image_that_stopped_stands_in_the_file_of_the_dearer_rung_with_its_own_row(tmp_path, kind):
    publisher = two_rungs(tmp_path, kind, EarlyStop(below=0.2, share=0.5, cv=0.1))
    row(publisher, 0, "a", "1 3", doubt=0.1)
    row(publisher, 0, "b", "1 3", doubt=0.2)
    row(publisher, 1, "b", "1 4", doubt=0.0)
    publisher.compose()
    assert [task.rung for task in publisher.validations] == [0, 1]
    publisher.publish_validated(publisher.validations[-1])
    assert csv(publisher) == ["a,1 3", "b,1 4", "unreadable,"]
    assert publisher.submission.origins == {"a": "rung 1", "b": "rung 2", "unreadable": "fallback"}
