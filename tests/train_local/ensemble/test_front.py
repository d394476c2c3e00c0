from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit.ensemble import Member
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.front import kept_of
from train_local.ensemble.ladder import Unscored, build_ladder
from train_local.ensemble.nested import ScoredStep, Searched
from train_local.ensemble.search import Step
from train_local.ensemble.trial import RecipeView, Selection

NAMES = "abcdef"
COSTS = dict(zip(NAMES, (1.0, 2.0, 5.0, 3.0, 1.0, 4.0), strict=True))
UNSCORED = {"y": 2.0, "z": 7.0}


def scored(recipes, cv, share=None):
    selection = Selection(
        tuple(RecipeView(name, "identity") for name in recipes),
        tuple(1.0 + "abcdef".index(name) for name in recipes),
    )
    cost = sum(COSTS[name] for name in recipes)
    return ScoredStep(Step(selection, {"threshold": 0.5}, cv, cost), cv, 0.01, None, share)


def searched(steps, subsets):
    ladder = [scored(NAMES[: number + 1], cv) for number, cv in enumerate(steps)]
    return Searched(ladder, [scored(names, cv, 0.5) for names, cv in subsets.items()])


def kept(steps, subsets, *, closed=False, keep_all=False):
    found = kept_of(searched(steps, subsets), closed=lambda _: closed, keep_all=keep_all)
    return ["".join(view.recipe for view in one.step.selection.recipe_views) for one in found.rungs]


def test_a_subset_stands_where_its_cost_puts_it_and_takes_the_place_of_what_promises_less():
    assert kept([0.70, 0.74, 0.80], {"ac": 0.78}) == ["a", "ab", "ac", "abc"]
    assert kept([0.70, 0.74, 0.76, 0.80], {"ad": 0.77}) == ["a", "ab", "ad", "abcd"]
    assert kept([0.70, 0.74, 0.80], {"ac": 0.74, "c": 0.5}) == ["a", "ab", "abc"]


def test_nothing_comes_in_front_of_the_first_step():
    assert kept([0.70, 0.70, 0.72, 0.72, 0.80], {"e": 0.75}) == ["a", "abc", "abcde"]


def test_a_subset_that_promises_most_ends_the_ladder_without_what_it_lacks():
    assert kept([0.70, 0.74, 0.80], {"ac": 0.81}) == ["a", "ac"], "b has no place in the last rung"
    assert kept([0.70, 0.74, 0.80], {"bc": 0.81}) == ["a", "ab", "abc"], "a has to stay, and so bc goes"
    assert kept([0.70, 0.74, 0.80], {"bc": 0.81, "ac": 0.79}) == ["a", "ab", "ac", "abc"]


def test_with_unmeasured_passes_at_the_end_it_stays_beside_the_others():
    assert kept([0.70, 0.74, 0.80], {"bc": 0.81}, closed=True) == ["a", "ab", "bc"]
    found = kept_of(searched([0.70, 0.74, 0.80], {"bc": 0.81}), closed=lambda _: True)
    assert found.closing.cv == 0.81
    assert found.closing.step is found.end.step, "the settings of all of them together"
    assert found.used == frozenset(found.end.step.selection.recipe_views)


def test_keep_all_keeps_all_steps():
    assert kept([0.70, 0.60, 0.80, 0.75], {"ad": 0.77, "d": 0.5}, keep_all=True) == [
        "a",
        "ab",
        "ad",
        "abc",
        "abcd",
    ]


def run(recipe, fold):
    name = f"{recipe}.fold{fold}"
    member = Member(
        name=name, weights="w", sha256=name.encode().hex(), size=1, network={}, inference={}, requires=[]
    )
    return FinishedRun(recipe, member, "w", ("identity",), {}, {"identity": 1.0})


def cost_of(recipe_view):
    return {**COSTS, **UNSCORED}[recipe_view.recipe]


def test_the_rung_of_a_subset_has_the_first_pass_of_its_recipe_views_and_the_ladders_weights():
    runs = [run(recipe, fold) for recipe in "abcz" for fold in (0, 1)]
    unscored = [Unscored("z", ("identity",), before=frozenset("c"))]
    ladder = build_ladder(searched([0.70, 0.74, 0.80], {"ac": 0.78}), runs, cost_of, unscored)
    assert [item.recipe_view.recipe for item in ladder.passes] == [*"abzc", *"abzc"]
    assert [(item.rung.text, item.rung.cv, item.share) for item in ladder.rungs] == [
        ("1", 0.70, None),
        ("1-2", 0.74, None),
        ("1, 4", 0.78, 0.5),
        ("1-4", 0.80, None),
        ("1-8", 0.80, None),
    ]
    subset = ladder.rungs[2]
    assert subset.added == "best of 1/2 of the cost: a identity, c identity"
    assert subset.rung.weights == [1.0, 3.0]
    assert subset.fitted == 0.78


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.dictionaries(
        st.sets(st.sampled_from(NAMES), min_size=1).map(frozenset), st.integers(1, 9), max_size=4
    ),
    st.integers(1, 2),
    st.lists(st.sampled_from("yz"), unique=True),
    st.sampled_from([frozenset(), frozenset("b"), frozenset("d")]),
)
# Nobody trained y, which was to come in without a score: only a rung of all passes closes the ladder.
@example([1, 2], {frozenset("b"): 2}, 1, ["y"], frozenset("b"))
def test_rungs_rise_in_cost_and_never_fall_in_score_and_the_last_has_all_passes(
    steps, subsets, folds, extra, before
):
    prefixes = {NAMES[:length] for length in range(1, 7)}
    inside = {
        "".join(sorted(names)): cv
        for names, cv in subsets.items()
        if names <= set(NAMES[: len(steps)]) and "".join(sorted(names)) not in prefixes
    }
    runs = [run(recipe, fold) for recipe in [*NAMES, *extra] for fold in range(folds)]
    unscored = [Unscored(name, ("identity",), before=before) for name in extra]
    ladder = build_ladder(searched(steps, inside), runs, cost_of, unscored)
    passes = [tuple(item.rung.passes) for item in ladder.rungs]
    assert passes[-1] == tuple(range(len(ladder.passes)))
    assert len(set(passes)) == len(passes)
    costs = [sum(cost_of(ladder.passes[index].recipe_view) for index in one) for one in passes]
    for (cheap, dear), (lower, upper) in zip(pairwise(costs), pairwise(ladder.rungs), strict=True):
        assert cheap <= dear
        assert lower.rung.cv <= upper.rung.cv
        assert lower.rung.cv < upper.rung.cv or upper.fitted is None
    assert ladder.rungs[0].added == "a identity"
    measured = [*steps, *(cv for names, cv in inside.items() if names[0] == "a")]
    assert max(item.rung.cv for item in ladder.rungs) >= max(steps)
    assert max(item.rung.cv for item in ladder.rungs) <= max([*measured, *inside.values()])
