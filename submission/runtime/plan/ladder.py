"""The ladder of a run: its state, and the policy that decides. The only place that chooses the policy."""

from __future__ import annotations

from collections.abc import Callable

from kit.ensemble import Ensemble
from submission.runtime.plan.by_forecast import ByForecast
from submission.runtime.plan.changes import Consequence, Decision, LoseMember
from submission.runtime.plan.policy import Policy, Resources
from submission.runtime.plan.state import LadderState
from submission.runtime.plan.tasks import LadderTask, Stage


def chosen_policy(ensemble: Ensemble) -> ByForecast:
    """Return the policy that predict.py uses."""
    return ByForecast(ensemble)


class Ladder:
    """Asks the policy and applies to the state what it decides.

    Args:
        state: of the ladder.
        policy: decides.
        measure: says what is left at the moment.
        on_decision: called with every decision.
    """

    def __init__(
        self,
        state: LadderState,
        policy: Policy,
        measure: Callable[[], Resources],
        on_decision: Callable[[Decision], None] | None = None,
    ) -> None:
        self.state, self.policy = state, policy
        self._measure, self._on_decision = measure, on_decision

    def next_task(self) -> LadderTask | None:
        """Return the task for a free worker, None if nothing can start now.

        The caller reports its end: `state.finished_...` or `fail`.
        """
        # A decision that is no task (start a rung, leave out a pass) changes what can be decided next.
        while (decision := self.policy.decide(self.state, self._measure())) is not None:
            self.state.apply(decision)
            if self._on_decision is not None:
                self._on_decision(decision)
            if isinstance(decision, LadderTask):
                return decision
        return None

    def fail(self, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Note that a task failed, and return what follows."""
        self.state.failed(task)
        consequence = self.policy.after_failure(self.state, task, stage, reason)
        self.state.apply(consequence)
        return consequence

    def drop_member(self, member: int, reason: str) -> Consequence:
        """Go on without a member, e.g. because its weights are damaged."""
        consequence = LoseMember(member, reason)
        self.state.apply(consequence)
        return consequence

    @property
    def exhausted(self) -> bool:
        """Whether nothing runs and nothing is left to start."""
        return self.policy.exhausted(self.state)
