import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.markdown import DOCS, block
from kit.errors import KitError
from kit.local.offline.faults import catalogue
from kit.local.offline.faults.catalogue import FAULTS, as_table, as_text, named, scene_of, schedule


def test_each_fault_has_a_name_of_its_own_and_a_line():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert [line.split()[0] for line in as_text().splitlines()] == names


def test_the_table_of_the_documentation_is_that_of_the_catalogue():
    assert block(DOCS / "rehearse.md", "catalogue") == as_table()


def test_an_unknown_fault_is_told_with_how_to_find_the_known_ones():
    with pytest.raises(KitError, match="there is no fault 'hangs'") as caught:
        named(["hang", "hangs"])
    assert "--faults list" in caught.value.fix


@given(st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_faults_and_moments(seed):
    (faults, scene), (again, same) = schedule(seed), schedule(seed)
    assert faults == again
    scene.draw = same.draw = random.Random(0)
    assert scene == same


def test_every_fault_is_drawn_and_many_at_once():
    drawn = [schedule(seed)[0] for seed in range(300)]
    assert {fault.name for faults in drawn for fault in faults} == {fault.name for fault in FAULTS}
    assert {len(faults) for faults in drawn} == {1, 2, 3, 4}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_changes_something_for_every_seed(fault):
    plain = scene_of([], random.Random(0))
    for seed in range(20):
        scene = scene_of([fault], random.Random(seed))
        scene.draw = plain.draw
        assert scene != plain
        assert all(strike.fault == fault.name for strike in scene.strikes)


def test_unusable_gpus_are_never_pretended_to_compute():
    for order in (("gpu-unusable", "gpu-lost"), ("gpu-lost", "gpu-unusable")):
        faults = [catalogue.named([name])[0] for name in order]
        assert scene_of(faults, random.Random(0)).gpus == "unusable"
