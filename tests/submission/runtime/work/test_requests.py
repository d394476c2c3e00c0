"""How large the windows are that a request asks for, after memory ran out with a batch of one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.images.info import ImageInfo
from kit.plan.changes import BringBack, LoseMember
from kit.plan.state import LadderState
from kit.plan.tasks import PassTask
from submission.runtime.work.requests import Requests


@pytest.fixture
def requests(tmp_path):
    members = [
        Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
        for i in range(2)
    ]
    ensemble = Ensemble(
        competition="kidney",
        kind="semantic",
        members=members,
        passes=[Pass(member=index, view="identity", seconds_per_megapixel=1.0) for index in range(2)],
        rungs=[Rung(passes=[0, 1], weights=[1.0, 1.0], settings={}, cv=0.1)],
    )
    state = LadderState(ensemble, {"a": 1.0, "b": 1.0})
    data = SimpleNamespace(
        submission=SimpleNamespace(sizes={"a": (1, 1), "b": (1, 1)}),
        paths={image: Path(image) for image in "ab"},
        infos={image: ImageInfo() for image in "ab"},
    )
    made = Requests(state, data, tmp_path, None)
    made.weights.update({0: "w0", 1: "w1"})
    return made


def lose_and_bring_back(requests, stage, times):
    for number in range(times):
        requests.state.apply(LoseMember(0, "because", stage))
        requests.state.apply(BringBack(0, 100.0 - number))


@pytest.mark.parametrize(("chances", "halvings"), [(0, 0), (1, 1), (2, 2), (3, 2)])
def test_each_chance_after_memory_ran_out_halves_the_windows_once_more(requests, chances, halvings):
    lose_and_bring_back(requests, "memory", chances)
    assert requests.request(PassTask(0, "a")).halvings == halvings
    assert requests.request(PassTask(1, "a")).halvings == 0, "the other member's memory was enough"


def test_other_failures_halve_nothing(requests):
    lose_and_bring_back(requests, "crash", 2)
    assert requests.request(PassTask(0, "a")).halvings == 0


def test_a_member_keeps_the_windows_that_memory_held(requests):
    requests.keep_halved(PassTask(0, "a"), 2)
    requests.keep_halved(PassTask(0, "a"), 1)
    requests.keep_halved(PassTask(1, "a"), 0)
    assert [requests.request(PassTask(index, "b")).halvings for index in (0, 1)] == [2, 0]
