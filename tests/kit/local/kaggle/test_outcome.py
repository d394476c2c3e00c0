"""Bodies and statuses to answers, refusals and unclear ends; pauses; secrets out of texts."""

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.local.kaggle.outcome import (
    Answer,
    CallError,
    CutOff,
    Refused,
    Unclear,
    Unreachable,
    judge,
    reason_of,
)
from kit.local.kaggle.patience import Patience
from kit.local.kaggle.redact import known_secrets, redact

CALL = "datasets.CreateDataset"


@pytest.mark.parametrize(
    ("status", "body", "writes", "expected"),
    [
        (200, {"status": "ok", "url": "x"}, True, Answer),
        (200, {}, False, Answer),
        (200, {}, True, Unclear),
        (200, {"status": "Error", "error": "over the quota"}, True, Refused),
        (200, {"code": 400, "message": "bad"}, False, Refused),
        (200, {"errorMessage": "bad", "datasetFiles": []}, False, Refused),
        (200, {"errors": [{"message": "bad"}]}, True, Refused),
        (200, {"error": {"code": 503, "message": "busy"}}, True, Unclear),
        (200, "<!DOCTYPE html><html></html>", False, Unclear),
        (200, "[1]", False, Unclear),
        (403, {"error": {"code": 403, "message": "denied"}}, False, Refused),
        (500, "", False, Unclear),
        (501, "", False, Refused),
        (429, "", True, Refused),
    ],
)
def test_every_end_of_a_call_has_its_name(status, body, writes, expected):
    text = body if isinstance(body, str) else json.dumps(body)
    try:
        found = type(judge(CALL, status, {}, text, writes=writes))
    except CallError as error:
        found = type(error)
    assert found is expected


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "message", "status", "url"]), part)
    ),
    max_leaves=6,
)


@given(st.integers(100, 599), VALUES.map(json.dumps) | st.text(max_size=80), st.booleans())
def test_no_body_is_taken_for_a_yes_that_is_none(status, body, writes):
    try:
        answer = judge(CALL, status, {}, body, writes=writes)
    except CallError:
        return
    assert status < 400
    assert not answer.value.get("error")
    assert not writes or any(answer.value.values())


def test_the_nested_reason_is_shown():
    body = json.dumps({"error": {"code": 400, "message": "The daily allowance of 5 submissions is used"}})
    with pytest.raises(Refused, match="daily allowance of 5"):
        judge(CALL, 400, {}, body)
    assert reason_of("<html>x</html>") == ""


@pytest.mark.parametrize(
    "body",
    [
        {"message": "over the quota"},
        {"detail": "over the quota", "title": "Bad Request", "status": 400},
        {"errors": [{"message": "over the quota", "domain": "global"}]},
        {"errors": ["over the quota"]},
        {"why": {"text": "over the quota"}},
    ],
    ids=lambda body: next(iter(body)),
)
def test_a_reason_is_shown_wherever_the_server_writes_it(body):
    with pytest.raises(Refused, match="over the quota"):
        judge(CALL, 400, {}, json.dumps(body))


@given(st.integers(0, 9))
def test_waits_grow_to_their_limit_and_differ_between_wires(seed):
    waits = list(islice(Patience().waits(seed=seed), 20))
    assert waits == list(islice(Patience().waits(seed=seed), 20))
    assert all(0.5 <= wait <= 60 for wait in waits)
    assert waits[-1] >= 30 > waits[0]
    assert waits != list(islice(Patience().waits(seed=seed + 1), 20))


SECRET = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789"), min_size=16, max_size=40)


@given(
    SECRET,
    st.text("AB :/?=&'@\n", max_size=20),
    st.sampled_from(
        [
            "Authorization: Bearer {}",
            "Basic {}",
            "KGAT_{}",
            "http://user:{}@proxy:3128",
            "PUT http://store/x?upload_id={}&a=1",
            "Max retries exceeded with url: /upload/a?X-Goog-Signature={} (Caused by",
            '{{"token": "{}", "createUrl": "x"}}',
        ]
    ),
)
def test_no_secret_stays_in_a_text(secret, around, form):
    assert secret not in redact(f"{around} {form.format(secret)} {around}")
    assert secret not in redact(f"{around}{secret}{around}", {secret})


def test_ordinary_words_stay():
    text = "Kaggle refused datasets.CreateDataset (400): what is 1 + 1? see https://www.kaggle.com/settings"
    assert redact(text) == text


def test_the_credentials_of_this_machine_are_known(tmp_path):
    folder = tmp_path / ".kaggle"
    folder.mkdir()
    (folder / "kaggle.json").write_text('{"username": "alice", "key": "keyfromfile"}')
    (folder / "access_token").write_text("KGAT_file\n")
    (tmp_path / "elsewhere").write_text("tokenbehindpath")
    environment = {
        "HOME": str(tmp_path),
        "KAGGLE_API_TOKEN": str(tmp_path / "elsewhere"),
        "KAGGLE_KEY": "keyofenv",
    }
    assert {"keyfromfile", "KGAT_file", "tokenbehindpath", "keyofenv"} <= known_secrets(environment)
    assert "alice" not in known_secrets(environment)


def test_a_call_that_is_cut_off_says_what_its_last_try_said():
    last = Unreachable(CALL, "no route to host")
    assert last.problem == "Kaggle cannot be reached: no route to host"
    cut = CutOff(last)
    assert (cut.problem, cut.where, cut.fix) == (last.problem, CALL, last.fix)
    assert isinstance(cut, Unclear)
