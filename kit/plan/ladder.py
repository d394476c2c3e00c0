"""The ladder of a run: its state, and the policy that decides. The only place that chooses the policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kit.ensemble import Ensemble
from kit.plan.by_forecast import ByForecast
from kit.plan.changes import Consequence, Decision, LoseMember, StartRung
from kit.plan.policy import ANYONE, Asking, Policy, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import LadderTask, PassTask, Stage


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

    def next_task(self, asking: Asking = ANYONE) -> LadderTask | None:
        """Return the task for a free worker, None if nothing can start now.

        The caller reports its end: `state.finished_...` or `fail`.
        """
        # A decision that is no task (start a rung, leave out a pass) changes what can be decided next.
        while (decision := self._decide(asking)) is not None:
            self.state.apply(decision)
            if self._on_decision is not None:
                self._on_decision(decision)
            if isinstance(decision, LadderTask):
                return decision
        return None

    def likely_next(self, asking: Asking) -> PassTask | None:
        """Return the pass that a worker would get if it were free now; nothing is decided by that."""
        decision = self._decide(asking)
        if isinstance(decision, StartRung):
            passes = self.state.live_passes
            new = set(passes(decision.rung)).difference(*map(passes, self.state.rungs.started))
            return PassTask(min(new), self.state.live_images()[0]) if new else None
        return decision if isinstance(decision, PassTask) else None

    def _decide(self, asking: Asking) -> Decision | None:
        return self.policy.decide(self.state, replace(self._measure(), asking=asking))

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
