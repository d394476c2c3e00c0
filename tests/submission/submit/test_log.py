"""The log of submissions: the last line of an id counts, and a line is whole or was never sent."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from submission.submit.log import Log, Submission

ENTRY = Submission(
    id="kit-0123456789ab", time="2026-11-29T05:00:00Z", asked="2026-11-29T05:00:00Z", stage="asked",
    competition="cells", kernel="alice/kit", kernel_version=3, file="submission.csv", predict_sha256="a",
    ensemble_sha256="b", bundle={"alice/weights": "c"}, members=["unet"], cv=0.5,
)  # fmt: skip
LATER = "2026-11-29T06:00:00Z"


def test_the_last_line_of_an_id_is_its_state(tmp_path):
    log = Log(tmp_path / "dist" / "submissions.jsonl")
    assert log.entries() == []
    log.add(ENTRY)
    other = log.add(replace(ENTRY, id="kit-other"))
    scored = log.update(ENTRY, LATER, stage="scored", ref=7, public_score="0.9")
    assert log.entries() == [scored, other]
    assert log.update(scored, "later still", public_score="0.9") == scored
    assert len(log.path.read_text().splitlines()) == 3, "an unchanged state is not written again"


@given(cut=st.integers(0, 10_000))
def test_a_line_that_was_cut_off_was_never_sent_and_swallows_nothing(tmp_path_factory, cut):
    log = Log(tmp_path_factory.mktemp("log") / "log.jsonl")
    log.add(ENTRY)
    whole = log.path.read_bytes()
    log.add(replace(ENTRY, id="kit-cut"))
    content = log.path.read_bytes()
    log.path.write_bytes(content[: len(whole) + cut % (len(content) - len(whole))])
    assert log.entries() == [ENTRY]
    third = log.add(replace(ENTRY, id="kit-third"))
    assert log.entries() == [ENTRY, third]


def test_a_damaged_line_is_told_with_its_number(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.add(ENTRY)
    log.path.write_text("{oh no}\n" + log.path.read_text())
    with pytest.raises(KitError, match="line 1"):
        log.entries()
    log.path.write_text(json.dumps({"schema": 99}) + "\n")
    with pytest.raises(KitError, match="schema"):
        log.entries()
    log.path.write_text("[" * 100_000 + "\n")
    with pytest.raises(KitError, match="line 1"):
        log.entries()


def test_a_folder_is_not_taken_for_a_log_without_submissions(tmp_path):
    with pytest.raises(KitError, match="the log of submissions is no file"):
        Log(tmp_path).entries()


def test_the_id_stands_in_the_description():
    assert ENTRY.described() == ENTRY.id
    assert replace(ENTRY, message="two nets").described() == f"{ENTRY.id} two nets"
