"""A few of the uploads of `nox -s faults`: each ends verified or with words, and a clean run mends it."""

import pytest

from tests.kaggle_server.commands import Kill
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.schedules import CASES, Schedule, run, schedule

ALL = [
    Schedule(
        1,
        "version",
        [Fault("drop_after", "datasets.CreateDatasetVersion"), Fault("stale", "", argument=6)],
        [Kill("datasets.CreateDatasetVersion", 1, 0)],
        {"list_versions": False, "zips": "doubled"},
    ),
    Schedule(
        2,
        "new",
        [Fault("truncate", "blobs.PUT", nth=2), Fault("token_expired", "datasets.ListDatasetFiles")],
        [Kill("blobs.PUT", 1, 0)],
        way="token",
    ),
    Schedule(
        3,
        "model",
        [Fault("drop_after", "models.CreateModel"), Fault("public_flip", "")],
        [Kill("models.CreateModelInstance", 1, 0)],
        {"hidden_after_create": 2},
    ),
]


@pytest.mark.parametrize("plan", ALL, ids=str)
def test_an_upload_under_faults_is_verified_or_says_why_not(tmp_path, plan):
    _, wrong = run(plan, tmp_path)
    assert wrong == []


def test_a_seed_draws_the_same_schedule_again_and_all_seeds_together_meet_everything():
    drawn = [schedule(seed) for seed in range(300)]
    assert [str(plan) for plan in drawn] == [str(schedule(seed)) for seed in range(300)]
    assert {plan.case for plan in drawn} == set(CASES)
    kinds = {fault.kind for plan in drawn for fault in plan.faults}
    wanted = (
        "status", "drop_before", "drop_after", "error_200", "empty_200", "html_200", "hang", "token_expired",
        "stand_still", "truncate", "flip_byte", "drop_midfile", "half", "range_wrong", "range_beyond",
        "blob_expired", "stale", "drop_file", "merge_files", "truncate_file", "failed_processing",
        "md5_absent", "public_flip", "invalid_sources", "session_count_200", "complete_without_score",
        "submission_error", "late_submission", "no_slots", "run_error", "lost_output",
    )  # fmt: skip
    assert [kind for kind in wanted if kind not in kinds] == []
    assert sum(bool(plan.kills) for plan in drawn) > 100
