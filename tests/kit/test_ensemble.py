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
    return ensemble.Rung(
        passes=list(range(passes)), weights=[1.0] * passes, settings={"threshold": 0.5}, cv=0.5
    )


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


def test_a_rung_may_have_any_of_the_passes():
    some = ensemble.Rung(passes=[0, 1, 2, 5], weights=[1.0, 2.0, 3.0, 4.0], settings={}, cv=0.5)
    assert some.text == "1-3, 6"
    assert [some.weight(index) for index in some.passes] == [1.0, 2.0, 3.0, 4.0]
    assert ensemble.Rung(passes=[1], weights=[1.0], settings={}, cv=None).text == "2"


def test_file_round_trips(tmp_path):
    ensemble.save(tmp_path / "ensemble.json", plan())
    assert ensemble.load(tmp_path / "ensemble.json") == plan()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": [member("a"), member("a", "11")]}, "share a name"),
        ({"members": [member("a"), member("b")]}, "share the same weights"),
        ({"members": []}, "at least one member"),
        ({"rungs": [rung(2), rung(1)]}, r"the last rung needs all passes, not \[0\]"),
        ({"rungs": [rung(1)]}, "the last rung needs all passes"),
        ({"rungs": [rung(1), rung(3)]}, r"the last rung needs all passes, not \[0, 1, 2\]"),
        ({"rungs": [rung(1), rung(1), rung(2)]}, "two rungs have the same passes"),
        ({"passes": [walk(member=1), walk()]}, "does not exist"),
        ({"slowdown": 0.0}, "slowdown is 0.0; it has to be above 0"),
        ({"reserve_seconds": math.inf}, "reserve_seconds is inf, not a finite number"),
        ({"kind": "panoptic"}, "kind is 'panoptic'"),
    ],
)
def test_impossible_plans_are_refused(changes, message):
    with pytest.raises(KitError, match=message):
        plan(**changes)


@pytest.mark.parametrize(
    ("made", "changes", "message"),
    [
        (rung(2), {"weights": [1.0, 0.0]}, r"weights\[1\] is 0.0; it has to be above 0"),
        (rung(2), {"weights": [math.nan, 1.0]}, r"weights\[0\] is nan, not a finite number"),
        (rung(2), {"weights": [1.0, math.inf]}, r"weights\[1\] is inf, not a finite number"),
        (rung(1), {"passes": [-1]}, r"passes\[0\] is -1; it has to be at least 0"),
        (rung(1), {"passes": 1}, "passes is 1, not a list"),
        (rung(1), {"passes": []}, r"one pass or more, each once and ascending, not \[\]"),
        (rung(2), {"passes": [1, 0]}, "ascending"),
        (rung(2), {"passes": [1, 1]}, "each once"),
        (rung(2), {"weights": [1.0]}, "one weight for every pass"),
        (walk(), {"member": -1}, "member is -1; it has to be at least 0"),
        (walk(), {"member": 0.5}, "member is 0.5, not an integer"),
        (walk(), {"seconds_per_megapixel": math.nan}, "seconds_per_megapixel is nan, not a finite number"),
        (walk(), {"seconds_per_megapixel": -1.0}, "it has to be at least 0"),
    ],
)
def test_impossible_parts_are_refused(made, changes, message):
    with pytest.raises(KitError, match=message):
        dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"schema": 99}, "ensemble schema 99, expected 2"),
        ({}, "ensemble schema None, expected 2"),
        ({"schema": 2}, "competition is missing"),
        ({"schema": 2, "competition": "kidney", "kind": "semantic"}, "members is missing"),
        ({**plan().as_dict(), "extra": 1}, "unknown key extra"),
        ([], "this is \\[\\], not a table"),
        (None, "this is None, not a table"),
        ({**plan().as_dict(), "competition": 5}, "competition is 5, not a text"),
        ({**plan().as_dict(), "definition": 5}, "definition is 5, not a table"),
        ({**plan().as_dict(), "slowdown": "much"}, "slowdown is 'much', not a number"),
        ({**plan().as_dict(), "members": {"a": 1}}, "members is {'a': 1}, not a list"),
    ],
)
def test_foreign_json_is_refused(value, message):
    with pytest.raises(KitError, match=message) as caught:
        ensemble.from_dict(value, where="ensemble.json")
    assert caught.value.where == "ensemble.json"
    assert "run `ensemble` again" in caught.value.fix


def test_an_impossible_plan_in_a_file_names_the_file(tmp_path):
    (tmp_path / "ensemble.json").write_text(json.dumps({**plan().as_dict(), "rungs": []}))
    with pytest.raises(KitError, match="at least one member, pass and rung") as caught:
        ensemble.load(tmp_path / "ensemble.json")
    assert (caught.value.where, caught.value.fix) == (str(tmp_path / "ensemble.json"), "train a recipe first")


def test_the_main_path_is_the_longest_way_over_rungs_that_contain_one_another():
    passes = [walk(), walk(view="hflip"), walk(view="vflip")]
    some = [[0], [0, 2], [1, 2], [0, 1, 2]]
    rungs = [ensemble.Rung(passes=item, weights=[1.0] * len(item), settings={}, cv=None) for item in some]
    made = plan(passes=passes, rungs=rungs)
    assert made.main_path == [0, 1, 3]
    assert made.rows_may_mix
    assert not dataclasses.replace(made, kind="instance").rows_may_mix


def test_a_rung_of_detections_skips_no_windows():
    skip = ensemble.WindowSkip(below=0.1, share=0.5, cv=0.5)
    rungs = [dataclasses.replace(rung(1), skip=skip), rung(2)]
    with pytest.raises(KitError, match="only masks have confident blocks") as refused:
        plan(kind="instance", rungs=rungs)
    assert refused.value.fix == "run `ensemble` again"
