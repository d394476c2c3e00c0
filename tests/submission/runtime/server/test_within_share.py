from kit.plan.by_forecast import ByForecast
from kit.plan.changes import StartRung, TryAgain
from kit.plan.policy import Resources
from kit.plan.state import LadderState
from kit.plan.tasks import FuseTask, PassTask
from submission.runtime.server.within_share import WithinShare
from tests.kit.plan.ladders import ensemble_of, finish_rung


def begun(images, owners=(0, 1), rungs=(1, 2)):
    """A call in which a pass takes a second for each megapixel, and its policy."""
    ensemble = ensemble_of(list(owners), list(rungs))
    state = LadderState(ensemble, images)
    state.ready |= {0, 1}
    return state, WithinShare(ByForecast(ensemble))


def left(seconds, workers=1):
    return Resources(seconds, free=1e12, workers=workers)


def play(state, policy, seconds):
    """Do what the policy decides until it decides nothing; a pass takes a second for each megapixel."""
    done = []
    while (decision := policy.decide(state, left(seconds))) is not None:
        state.apply(decision)
        done.append(decision)
        if isinstance(decision, PassTask):
            needed = state.megapixels[decision.image]
            state.finished_pass(decision, f"{decision.index}/{decision.image}", needed)
            seconds -= needed
        elif isinstance(decision, FuseTask):
            state.finished_row(decision, f"row {decision.rung}/{decision.image}")
    return done


def test_with_time_for_all_it_decides_as_the_policy_of_a_file_does():
    state, policy = begun({"a": 1.0, "b": 2.0})
    play(state, policy, 100)
    assert {(0, "a"), (0, "b"), (1, "a"), (1, "b")} == set(state.rungs.rows)
    assert policy.exhausted(state)


def test_a_failure_costs_what_the_policy_of_a_file_says():
    state, policy = begun({"a": 1.0})
    task = PassTask(0, "a")
    assert policy.after_failure(state, task, "error", "a library failed") == TryAgain(task)


def test_the_first_rung_is_done_even_if_the_share_is_used_up():
    state, policy = begun({"a": 5.0})
    policy.beyond = 50.0
    done = play(state, policy, 1.0)
    assert [decision.index for decision in done if isinstance(decision, PassTask)] == [0]
    assert set(state.rungs.rows) == {(0, "a")}
    assert policy.exhausted(state)


def test_a_further_rung_is_begun_only_if_it_fits_with_the_smallest_image():
    state, policy = begun({"a": 5.0, "b": 2.0})
    finish_rung(state, 0)
    assert policy.decide(state, left(1.5)) is None
    assert policy.exhausted(state)
    assert isinstance(policy.decide(state, left(2.5)), StartRung)
    assert not policy.exhausted(state)


def test_of_a_further_rung_only_images_that_still_fit_are_begun():
    state, policy = begun({"a": 5.0, "b": 2.0})
    finish_rung(state, 0)
    done = play(state, policy, 4.0)
    assert [(task.index, task.image) for task in done if isinstance(task, PassTask)] == [(1, "b")]
    assert (1, "b") in state.rungs.rows
    assert policy.exhausted(state)


def test_a_measured_pass_that_is_far_too_long_for_the_deadline_is_not_begun():
    state, policy = begun({"a": 5.0})
    state.costs.observe(0, 1.0, 100.0)
    policy.beyond = 10.0
    done = play(state, policy, 1.0)
    assert not [decision for decision in done if isinstance(decision, PassTask)]
    assert policy.exhausted(state)
