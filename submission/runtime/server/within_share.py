"""The policy of a call: as that of a file, but it starts nothing that the call has no time for. Pure."""

from __future__ import annotations

from kit.plan.changes import Consequence, Decision, StartRung
from kit.plan.policy import Policy, Resources
from kit.plan.state import LadderState
from kit.plan.tasks import LadderTask, PassTask, Stage

_HOPELESS = 2.0
"""A pass that was measured, and takes this many times the time that is left, is not begun."""


class WithinShare:
    """Asks a policy, and declines what does not fit into the call.

    The first rung may take more than the call's share, up to the gateway's deadline: a row of it is worth
    more than time for later calls. A further one has to fit with at least one image, and so has each of its
    passes: whatever still runs when the time is up costs a worker.

    Args:
        policy: that is asked.

    Attributes:
        beyond: seconds from the end of the share to the last moment.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.beyond = 0.0
        self._declined = False

    def decide(self, state: LadderState, resources: Resources) -> Decision | None:
        """Return what the policy decides, None if it does not fit.

        Args:
            state: of the ladder.
            resources: its seconds are those of the share.
        """
        decision = self.policy.decide(state, resources)
        self._declined = decision is not None and not self._fits(state, decision, resources)
        return None if self._declined else decision

    def after_failure(self, state: LadderState, task: LadderTask, stage: Stage, reason: str) -> Consequence:
        """Return what a failure costs."""
        return self.policy.after_failure(state, task, stage, reason)

    def exhausted(self, state: LadderState) -> bool:
        """Whether nothing runs and nothing is left that fits."""
        idle = not state.running and not state.combinable
        return (self._declined and idle) or self.policy.exhausted(state)

    def _fits(self, state: LadderState, decision: Decision, resources: Resources) -> bool:
        seconds = resources.seconds
        if isinstance(decision, StartRung):
            return not state.rungs.started or _quickest(state, decision.rung, resources.workers) <= seconds
        if not isinstance(decision, PassTask):
            return True
        expected = state.costs.expected(decision.index, 1, state.work(decision.index, decision.image))
        if decision.index in state.live_passes(next(iter(state.rungs.begun))):
            known = state.costs.measured(decision.index) is not None
            return not known or expected <= _HOPELESS * (seconds + self.beyond)
        return expected <= seconds


def _quickest(state: LadderState, rung: int, workers: int) -> float:
    """Return the seconds until the smallest image can have its row of a rung that is not started."""
    smallest = min((state.megapixels[image] for image in state.live_images()), default=0.0)
    done = {index for other in state.rungs.started for index in state.live_passes(other)}
    seconds: dict[int, float] = {}
    for index in set(state.live_passes(rung)) - done:
        member = state.ensemble.passes[index].member
        before = seconds.get(member, state.costs.load(member))
        seconds[member] = before + state.costs.expected(index, 1, smallest)
    return max(sum(seconds.values()) / workers, *seconds.values(), 0.0)
