"""A few of the schedules of `nox -s faults`: each ends verified or with words, and a clean run mends it."""

import pytest

from tests.kaggle_server.faults import Fault
from tests.kaggle_server.schedules import Schedule, run, schedule

ALL = [
    schedule(5),
    Schedule(
        1,
        "version",
        [Fault("drop_after", "datasets.CreateDatasetVersion"), Fault("stale", "", argument=6)],
        [("datasets.CreateDatasetVersion", 1)],
        {"list_versions": False, "zips": "doubled"},
    ),
    Schedule(
        2,
        "new",
        [Fault("truncate", "blobs.PUT", nth=2), Fault("status", "datasets.CreateDataset", argument=503)],
        [("blobs.PUT", 1)],
    ),
]


@pytest.mark.parametrize("plan", ALL, ids=str)
def test_an_upload_under_faults_is_verified_or_says_why_not(tmp_path, plan):
    _, wrong = run(plan, tmp_path)
    assert wrong == []
