"""The walks are taken, each in a copy of its own; one test for each command."""

import pytest

from tests.documented.every_walk import WALKS
from tests.documented.walks import check, walked


def steps():
    for walk in WALKS:
        for number in range(len(walk.steps())):
            marks = (pytest.mark.slow, pytest.mark.shares(walk.name))
            yield pytest.param(walk, number, marks=marks, id=f"{walk.name}-{number}")


@pytest.mark.parametrize(("walk", "number"), list(steps()))
def test_a_documented_command_does_what_its_page_says(walk, number, tmp_path_factory):
    _, ends = walked(tmp_path_factory, walk)
    check(walk.steps()[number], ends[number])
