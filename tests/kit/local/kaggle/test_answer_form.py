"""One value has several forms on the wire; what the SDK would read arrives in one."""

import pytest
from kagglesdk.competitions.types.competition_api_service import ApiSubmission
from kagglesdk.datasets.types.dataset_api_service import ApiDataset
from kagglesdk.kernels.types.kernels_api_service import (
    ApiGetKernelSessionStatusResponse,
    ApiSaveKernelResponse,
)

from kit.local.kaggle.answer_form import Misfit, in_one_form


@pytest.mark.parametrize(
    "text",
    [
        "CANCEL_ACKNOWLEDGED",
        "cancelAcknowledged",
        "CancelAcknowledged",
        "cancel_acknowledged",
        "KernelWorkerStatus.CANCEL_ACKNOWLEDGED",
        "KERNEL_WORKER_STATUS_CANCEL_ACKNOWLEDGED",
    ],
)
def test_a_status_has_one_spelling(text):
    assert in_one_form(ApiGetKernelSessionStatusResponse, {"status": text}) == {
        "status": "CANCEL_ACKNOWLEDGED"
    }


@pytest.mark.parametrize("value", [{"status": "HIBERNATING"}, {"status": ""}, {"status": None}, {}])
def test_what_the_sdk_does_not_know_stays_as_it_is(value):
    assert in_one_form(ApiSubmission, value) == value


def test_numbers_lists_and_what_is_in_them_come_in_one_form_and_the_rest_stays():
    value = {
        "totalBytes": "9007199254740993",
        "versions": [{"versionNumber": 2.0}],
        "isPrivate": False,
        "new": "7",
    }
    assert in_one_form(ApiDataset, value) == {
        **value,
        "totalBytes": 9007199254740993,
        "versions": [{"versionNumber": 2}],
    }


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (ApiDataset, {"versions": {"versionNumber": 1}}, "versions"),
        (ApiDataset, {"versions": [7]}, "versions"),
        (ApiDataset, {"versions": [{"versionNumber": "v2"}]}, "versions's versionNumber"),
        (ApiDataset, {"totalBytes": 1.5}, "totalBytes"),
        (ApiDataset, {"isPrivate": "false"}, "isPrivate"),
        (ApiSaveKernelResponse, {"invalidDatasetSources": "alice/a"}, "invalidDatasetSources"),
    ],
)
def test_a_value_of_another_type_is_named(kind, value, where):
    with pytest.raises(Misfit, match=f"the answer's {where} is"):
        in_one_form(kind, value)
