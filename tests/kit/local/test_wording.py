"""Words around numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kit.local.wording import counted


def test_one_thing_is_singular() -> None:
    assert counted(1, "member") == "1 member"
    assert counted(1, "pass", plural="passes") == "1 pass"


@given(st.integers(min_value=0).filter(lambda number: number != 1))
def test_any_other_number_is_plural(number: int) -> None:
    assert counted(number, "member") == f"{number} members"
    assert counted(number, "pass", plural="passes") == f"{number} passes"
