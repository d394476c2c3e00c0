"""A few submissions under the faults of `nox -s faults`: each ends scored or with words, and is sent once."""

import pytest

from tests.kaggle_server.commands import Kill
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.schedules import Schedule, run

SAVE, SEND = "kernels.SaveKernel", "competitions.CreateCodeSubmission"
CPU, T4 = {"accelerator": "cpu"}, {"accelerator": "NvidiaTeslaT4"}
ALL = [
    Schedule(
        1,
        "submit",
        [Fault("drop_after", SEND), Fault("late_submission", "", argument=999)],
        [Kill(SAVE, 1, 0)],
        settings=CPU,
    ),
    Schedule(
        2,
        "submit",
        [
            Fault("complete_without_score", "", argument="Kaggle Error"),
            Fault("token_expired", "competitions.GetSubmission", nth=3),
        ],
        [Kill(SEND, 1, 0)],
        way="token",
        settings=T4,
    ),
]


@pytest.mark.parametrize("plan", ALL, ids=str)
def test_a_submission_under_faults_is_scored_or_says_why_not(tmp_path, made, plan):
    _, wrong = run(plan, tmp_path, made)
    assert wrong == []
