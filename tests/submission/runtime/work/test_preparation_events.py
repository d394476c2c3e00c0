"""What the events of the preparation thread change for the plan."""

from types import SimpleNamespace

import pytest

from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from kit.plan.ladder import Ladder, chosen_policy
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from submission.runtime.inputs.preparation import Event, MemberLost, Preparation, Prepared, WeightsReady
from submission.runtime.result.report import RunReport
from submission.runtime.work.preparation_events import PreparationEvents

SIZES = (100, 20, 3)
"""Bytes of the members' weights."""


def member(number: int, size: int) -> Member:
    name = f"m{number}"
    return Member(
        name=name, weights=name, sha256=str(number), size=size, network={}, inference={}, requires=[]
    )


@pytest.fixture
def events(tmp_path):
    """The thread is not started: the test puts its events into the queue."""
    ensemble = Ensemble(
        competition="kidney",
        kind="semantic",
        members=[member(number, size) for number, size in enumerate(SIZES)],
        passes=[Pass(member=number, view="identity", seconds_per_megapixel=1.0) for number in range(3)],
        rungs=[Rung(passes=[0, 1, 2], weights=[1.0] * 3, settings={}, cv=0.1)],
    )
    preparation = Preparation(
        ensemble, [], None, root=tmp_path, site=tmp_path, scratch=tmp_path, timeout=1.0, start_check=None
    )
    return PreparationEvents(
        preparation,
        None,
        ladder=Ladder(
            LadderState(ensemble, {"a": 1.0}),
            chosen_policy(ensemble),
            lambda: Resources(99.0, 1e9, 1),
            lambda _: None,
        ),
        requests=SimpleNamespace(weights={}),
        workers=None,
        report=RunReport(0.0),
    )


def happen(events, *news) -> int:
    for item in news:
        events.preparation.events.put(Event(item, 0.0))
    events.handle_all()
    return events.to_unpack()


def ready(number: int, how: str) -> WeightsReady:
    return WeightsReady(member=number, path=f"/scratch/m{number}", how=how, bytes=SIZES[number])


def test_weights_that_will_still_come_out_of_archives_are_no_free_space(events):
    assert happen(events) == 0
    assert happen(events, ready(1, "from an archive")) == 100 + 3
    assert happen(events, ready(2, "from an archive")) == 100
    assert happen(events, MemberLost(member=0, error=KitError("missing"))) == 0
    assert events.requests.weights == {1: "/scratch/m1", 2: "/scratch/m2"}


def test_weights_in_the_open_take_no_room(events):
    assert happen(events, ready(1, "as is"), ready(2, "renamed")) == 0


def test_nothing_is_expected_once_the_preparation_has_ended(events):
    assert happen(events, ready(0, "from an archive")) == 20 + 3
    assert happen(events, Prepared()) == 0
