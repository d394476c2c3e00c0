"""Every message comes back from its line as it was, and the longest request fits the pipe."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions import get
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference.store import pass_file
from kit.plan.changes import StartRung
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask
from submission.runtime.inputs.competition_data import Data
from submission.runtime.result.submission_file import Submission
from submission.runtime.work.messages import (
    LONGEST_MESSAGE,
    Reply,
    ToWorker,
    read_reply,
    read_request,
    to_line,
)
from submission.runtime.work.requests import Requests

# Values as they occur: finite numbers, any text, file names with bytes that are not UTF-8.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text() | st.just("m\udcff.npy"))


def any_of(classes):
    return st.one_of([st.from_type(cls) for cls in classes])


@given(any_of(get_args(ToWorker)))
def test_requests_survive_the_way_to_the_worker(request):
    line = to_line(request)
    assert line.count(b"\n") == 1
    assert read_request(line) == request
    assert read_reply(line) is None, "a request is no reply"


@given(any_of(get_args(Reply)))
def test_replies_survive_the_way_to_the_supervisor(reply):
    line = to_line(reply)
    assert line.count(b"\n") == 1
    assert read_reply(line.strip()) == reply
    with pytest.raises(KitError, match="a line on stdin is not a request"):
        read_request(line)


@given(st.binary() | st.text().map(str.encode))
def test_other_lines_are_no_replies(line):
    assert read_reply(line) is None


@pytest.mark.parametrize(
    "value",
    [
        {"message": "Failed"},
        {"message": "Failed", "stage": "error", "problem": 3},
        {"message": "Failed", "stage": "bad luck", "problem": "p"},
        {"message": "FirstForward", "at": 1.0, "more": 2},
        {"message": "Exited", "code": 0},
        {"message": ["Failed"]},
        {"event": "ready"},
        ["Ready"],
        None,
    ],
)
def test_replies_with_missing_unknown_or_wrong_values_are_none(value):
    assert read_reply(json.dumps(value)) is None


def test_a_line_nested_too_deep_is_no_reply():
    assert read_reply("[" * 100_000) is None


def test_a_request_with_a_wrong_value_names_it():
    with pytest.raises(KitError, match="rung is 'first', not an integer"):
        read_request('{"message": "FuseRequest", "rung": "first"}')


@pytest.fixture
def full(tmp_path):
    """64 passes of 16 members with long names, one image with the longest name that a disk takes."""
    image = "ü" * 100
    members = [
        Member(
            name=f"vit-adapter-l-adamw-pseudo-labelled-{index:02}.fold{index % 5}",
            weights=f"{index}",
            sha256=f"{index}",
            size=1,
            network={},
            inference={},
            requires=[],
        )
        for index in range(16)
    ]
    views = ("identity", "hflip", "vflip", "+".join(["rotate90", "transpose", "scale-0.75"] * 3))
    ensemble = Ensemble(
        competition="vasculature",
        kind="instance",
        members=members,
        passes=[
            Pass(member=index % 16, view=views[index // 16], seconds_per_megapixel=1.0) for index in range(64)
        ],
        rungs=[
            Rung(
                passes=list(range(64)), weights=[1 / (3 + index) for index in range(64)], settings={}, cv=0.5
            )
        ],
    )
    state = LadderState(ensemble, {image: 0.3})
    state.apply(StartRung(0))
    info = ImageInfo(pixel_size=0.123456789, organ="largeintestine", source="Hubmap")
    submission = Submission(get("vasculature"), [image], {image: (30000, 30000)}, tmp_path / "submission.csv")
    data = Data(tmp_path, {image: tmp_path / image}, {}, {image: info}, submission, [])
    scratch = tmp_path / ("x" * 80)
    scratch.mkdir()
    return state, image, Requests(state, data, scratch, None)


def test_a_row_of_64_passes_over_an_image_with_a_long_name_fits_one_message(full):
    state, image, requests = full
    ensemble = state.ensemble
    for index, item in enumerate(ensemble.passes):
        file = pass_file(
            requests.scratch / "passes", ensemble.members[item.member], item.view, image, kind="instance"
        )
        state.finished_pass(PassTask(index, image), str(file), 1.0)
    request = requests.request(FuseTask(0, image))
    line = to_line(request)
    assert len(line) < LONGEST_MESSAGE / 2
    assert len(request.results) == 64
    received = read_request(line)
    for index, (result, item) in enumerate(zip(received.results, ensemble.passes, strict=True)):
        member = ensemble.members[item.member]
        assert result.index == index
        assert received.file(result) == pass_file(
            requests.scratch / "passes", member, item.view, image, kind="instance"
        )
        assert result.weight == ensemble.rungs[0].weights[index]
