import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.ensemble import Ensemble, Member, Pass, Rung
from submission.runtime.plan.costs import Costs, reserve_seconds


def ensemble(*priors: float, members: tuple[int, ...] | None = None) -> Ensemble:
    owners = members or tuple(range(len(priors)))
    return Ensemble(
        competition="kidney",
        kind="semantic",
        members=[
            Member(name=f"m{i}", weights=f"{i}", sha256=f"{i}", size=1, network={}, inference={}, requires=[])
            for i in sorted(set(owners))
        ],
        passes=[
            Pass(member=owner, view="identity", seconds_per_megapixel=prior)
            for owner, prior in zip(owners, priors, strict=True)
        ],
        rungs=[Rung(passes=list(range(len(priors))), weights=[1.0] * len(priors), settings={}, cv=0.5)],
    )


def test_a_measured_cost_replaces_the_prior():
    costs = Costs(ensemble(1.0, 4.0))
    costs.observe(0, megapixels=10, seconds=5)
    costs.observe(0, megapixels=10, seconds=7)
    assert costs.per_megapixel(0) == pytest.approx(0.6)


def test_an_unmeasured_pass_is_scaled_by_the_speed_of_this_machine():
    costs = Costs(ensemble(1.0, 4.0))
    costs.observe(0, megapixels=10, seconds=20)
    assert costs.per_megapixel(1) == pytest.approx(8.0)


def test_another_view_of_a_measured_member_keeps_its_ratio_to_the_views_that_ran():
    costs = Costs(ensemble(1.0, 4.0, members=(0, 0)))
    costs.observe(0, megapixels=10, seconds=20)
    assert costs.per_megapixel(1) == pytest.approx(8.0)
    costs = Costs(ensemble(1.0, 4.0, 8.0, members=(0, 0, 0)))
    costs.observe(0, megapixels=10, seconds=10)
    costs.observe(1, megapixels=10, seconds=30)
    # 1 s and 3 s per megapixel are 1 and 0.75 times what was expected: 0.875 on average.
    assert costs.per_megapixel(2) == pytest.approx(7.0)


def test_wall_time_is_work_over_workers_but_never_less_than_the_longest_image():
    costs = Costs(ensemble(2.0))
    assert costs.seconds([0], {"a": 3.0, "b": 3.0}, workers=2) == pytest.approx(6.0)
    assert costs.seconds([0], {"a": 9.0, "b": 1.0}, workers=8) == pytest.approx(18.0)
    assert costs.seconds([0], {}, workers=8) == 0
    assert Costs(ensemble(1.0, 4.0)).seconds([0, 1], {"a": 9.0}, workers=8) == pytest.approx(36.0)


@given(st.floats(1, 1e6), st.floats(0, 1e6))
def test_the_reserve_leaves_most_of_a_short_budget(budget, declared):
    reserve = reserve_seconds(budget, declared)
    assert 0 <= reserve <= declared
    assert reserve <= 0.15 * budget
    assert reserve == declared or reserve == pytest.approx(0.15 * budget)
