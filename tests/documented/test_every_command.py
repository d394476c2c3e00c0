"""Every command that README and docs name is taken in a walk or by another test, or stands with a reason."""

import ast
from pathlib import Path

import pytest

from benchmarks import everything
from benchmarks.options import EverythingOptions
from tests.documented import bench
from tests.documented.commands import documented
from tests.documented.every_walk import ELSEWHERE, NOT_HERE, THIS_RUN, WALKS

TESTS = Path(__file__).parents[1]
TAKEN = {step.command for walk in WALKS for step in walk.steps()}
KNOWN = TAKEN | THIS_RUN | ELSEWHERE.keys() | NOT_HERE.keys()
BLOCKS = {*bench.TINY, *bench.BY_TEST, *bench.BY_WALK}


def test_every_documented_command_is_executed_or_has_a_reason():
    left = {name: pages for name, pages in documented().items() if name not in KNOWN}
    assert {name: sorted(pages) for name, pages in left.items() if bench.block_of(name) not in BLOCKS} == {}


def test_no_page_has_lost_a_command_that_is_executed():
    assert sorted(KNOWN - documented().keys()) == []


def test_a_command_has_one_place():
    places = (TAKEN, THIS_RUN, ELSEWHERE.keys(), NOT_HERE.keys())
    assert sum(map(len, places)) == len(KNOWN)


@pytest.mark.parametrize("name", sorted({*ELSEWHERE.values(), *bench.BY_TEST.values()}))
def test_the_other_tests_are_there(name):
    path, _, function = name.partition("::")
    names = {node.name for node in ast.parse((TESTS / path).read_text()).body if hasattr(node, "name")}
    assert function in names


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_no_step_is_satisfied_with_anything(walk):
    assert [step.command for step in walk.steps() if not step.says] == []


def test_every_table_of_the_benchmarks_is_made_by_a_walk_or_a_test():
    written = {item.blocks[0] for item in everything.figures(EverythingOptions())}
    assert written == BLOCKS
    assert len(BLOCKS) == len(bench.TINY) + len(bench.BY_TEST) + len(bench.BY_WALK)
