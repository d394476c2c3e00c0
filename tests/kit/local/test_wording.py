"""Words around numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.local.wording import amount, counted


def test_one_thing_is_singular() -> None:
    assert counted(1, "member") == "1 member"
    assert counted(1, "pass", plural="passes") == "1 pass"


@given(st.integers(min_value=0).filter(lambda number: number != 1))
def test_any_other_number_is_plural(number: int) -> None:
    assert counted(number, "member") == f"{number} members"
    assert counted(number, "pass", plural="passes") == f"{number} passes"


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (312, "312 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (4_240_000, "4.2 MB"),
        (999_960_000, "1.0 GB"),
        (17e9, "17.0 GB"),
        (2e12, "2000.0 GB"),
    ],
)
def test_a_size_has_the_unit_that_a_reader_expects(size: float, words: str) -> None:
    assert amount(size) == words


@given(st.integers(min_value=0, max_value=10**11))
def test_the_words_of_a_size_are_near_to_it_and_short(size: int) -> None:
    number, unit = amount(size).split()
    factor = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    assert abs(float(number) * factor - size) <= 0.0501 * factor
    assert float(number) < 1000
