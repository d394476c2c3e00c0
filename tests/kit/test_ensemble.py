import dataclasses
import json
import math

import pytest

from kit import ensemble
from kit.errors import KitError


def member(name="a", sha="00"):
    return ensemble.Member(
        name=name,
        weights=f"{name}.safetensors",
        sha256=sha,
        size=1,
        network={"network": "n"},
        inference={},
        requires=[],
    )


def rung(passes):
    return ensemble.Rung(passes=passes, weights=[1.0] * passes, settings={"threshold": 0.5}, cv=0.5)


def walk(**changes):
    return ensemble.Pass(**{"member": 0, "view": "identity", "seconds_per_megapixel": 1.0, **changes})


def plan(**changes):
    passes = [walk(), walk(view="hflip")]
    fields = {
        "competition": "kidney",
        "kind": "semantic",
        "members": [member()],
        "passes": passes,
        "rungs": [rung(1), rung(2)],
    }
    return ensemble.Ensemble(**{**fields, **changes})


def test_file_round_trips(tmp_path):
    ensemble.save(tmp_path / "ensemble.json", plan())
    assert ensemble.load(tmp_path / "ensemble.json") == plan()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": [member("a"), member("a", "11")]}, "share a name"),
        ({"members": [member("a"), member("b")]}, "share the same weights"),
        ({"members": []}, "at least one member"),
        ({"rungs": [rung(2), rung(1)]}, "growing prefixes"),
        ({"rungs": [rung(1)]}, "end with all passes"),
        ({"rungs": [rung(1), dataclasses.replace(rung(2), weights=[1.0])]}, "one positive weight"),
        ({"rungs": [rung(1), dataclasses.replace(rung(2), weights=[1.0, 0.0])]}, "one positive weight"),
        ({"rungs": [rung(1), dataclasses.replace(rung(2), weights=[math.nan, 1.0])]}, "one positive weight"),
        ({"rungs": [rung(1), dataclasses.replace(rung(2), weights=[1.0, math.inf])]}, "one positive weight"),
        ({"rungs": [rung(0), rung(2)]}, "growing prefixes"),
        ({"rungs": [rung(1), rung(3)]}, "end with all passes"),
        ({"rungs": [rung(1), rung(1), rung(2)]}, "growing prefixes"),
        ({"passes": [walk(member=1), walk()]}, "does not exist"),
        ({"passes": [walk(member=-1), walk()]}, "does not exist"),
        ({"passes": [walk(member=0.5), walk()]}, "does not exist"),
        ({"passes": [walk(seconds_per_megapixel=math.nan), walk()]}, "times are finite"),
        ({"passes": [walk(seconds_per_megapixel=-1.0), walk()]}, "times are finite"),
        ({"slowdown": 0.0}, "times are finite"),
        ({"reserve_seconds": math.inf}, "times are finite"),
        ({"kind": "panoptic"}, "kind is 'panoptic'"),
    ],
)
def test_impossible_plans_are_refused(changes, message):
    with pytest.raises(KitError, match=message):
        plan(**changes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"schema": 1}, "not an ensemble: competition is None"),
        ({"schema": 1, "competition": "kidney"}, "not an ensemble: 'members'"),
        ({**plan().as_dict(), "extra": 1}, "not an ensemble"),
        ([], "not an ensemble"),
        (None, "not an ensemble"),
        ({**plan().as_dict(), "competition": 5}, "not an ensemble: competition is 5"),
        ({**plan().as_dict(), "definition": 5}, "not an ensemble: definition is 5"),
        ({**plan().as_dict(), "slowdown": "much"}, "not an ensemble"),
        ({**plan().as_dict(), "members": {"a": 1}}, "not an ensemble"),
    ],
)
def test_foreign_json_is_refused(value, message):
    with pytest.raises(KitError, match=message) as caught:
        ensemble.from_dict(value, where="ensemble.json")
    assert (caught.value.where, caught.value.fix) == ("ensemble.json", "run `ensemble` again")


def test_an_impossible_plan_in_a_file_names_the_file(tmp_path):
    (tmp_path / "ensemble.json").write_text(json.dumps({**plan().as_dict(), "rungs": []}))
    with pytest.raises(KitError, match="at least one member, pass and rung") as caught:
        ensemble.load(tmp_path / "ensemble.json")
    assert (caught.value.where, caught.value.fix) == (str(tmp_path / "ensemble.json"), "train a recipe first")
