import dataclasses

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


def plan(**changes):
    passes = [ensemble.Pass(member=0, view=view, seconds_per_megapixel=1.0) for view in ("identity", "hflip")]
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
        (
            {
                "passes": [ensemble.Pass(member=7, view="identity", seconds_per_megapixel=1.0)],
                "rungs": [rung(1)],
            },
            "does not exist",
        ),
        ({"rungs": [rung(1), dataclasses.replace(rung(2), weights=[1.0])]}, "one positive weight"),
    ],
)
def test_impossible_plans_are_refused(changes, message):
    with pytest.raises(KitError, match=message):
        plan(**changes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": 99}, "schema 99"),
        ({"schema": 1}, "not an ensemble"),
        ({**plan().as_dict(), "extra": 1}, "not an ensemble"),
    ],
)
def test_foreign_json_is_refused(value, message):
    with pytest.raises(KitError, match=message):
        ensemble.from_dict(value, where="ensemble.json")
