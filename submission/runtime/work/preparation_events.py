"""What the supervisor does with the events of the preparation thread."""

from __future__ import annotations

from queue import Empty

from kit.errors import KitError
from kit.plan.ladder import Ladder
from kit.typed_json import to_plain
from submission.runtime.inputs.package_plan import Plan
from submission.runtime.inputs.preparation import (
    Broken,
    DatasetsFound,
    Event,
    Installed,
    MemberLost,
    Preparation,
    Prepared,
    WeightsReady,
    WheelsRestored,
)
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport
from submission.runtime.work.requests import Requests
from submission.runtime.work.workers import Workers


class PreparationEvents:
    """Follows the preparation.

    Args:
        preparation: the thread.
        plan: what it installs.
        ladder: is told which members are ready or lost.
        requests: is told where weights lie.
        workers: are started here if they have to wait for packages.
        report: records what happens.

    Attributes:
        installed: the packages can be imported: tasks may start.
        finished: nothing more will come.
        failure: the first error that cost a member.
    """

    def __init__(  # everything that an event can concern
        self,
        preparation: Preparation,
        plan: Plan,
        *,
        ladder: Ladder,
        requests: Requests,
        workers: Workers,
        report: RunReport,
    ) -> None:
        self.preparation, self.plan = preparation, plan
        self.ladder, self.requests, self.workers, self.report = ladder, requests, workers, report
        self.installed = self.finished = False
        self.failure: KitError | None = None
        self._packed = False

    def handle_all(self) -> None:
        """Handle the events that have arrived."""
        while True:
            try:
                event = self.preparation.events.get_nowait()
            except Empty:
                return
            self._handle(event)

    def _handle(self, event: Event) -> None:
        news = event.news
        match news:
            case DatasetsFound():
                self.report.event("datasets", at=event.at, **to_plain(news))
                if news.missing:
                    self.report.say(wording.manifests_missing(news.missing))
            case WheelsRestored():
                self.report.event("restored", at=event.at, bytes=news.bytes)
                self._note_install(None, self.plan, news)
            case Installed():
                self._on_installed(event.at, news)
            case WeightsReady():
                self._on_weights(event.at, news)
            case MemberLost(member=member, error=error):
                self._lose([member], error, None)
            case Broken(error=error, trace=trace):
                self._lose(range(len(self.ladder.state.ensemble.members)), error, trace)
            case Prepared():
                self.finished = True
                self.report.event("verified", at=event.at)

    def _on_installed(self, at: float, news: Installed) -> None:
        self.installed = True
        self.report.event("installed", at=at, tool=news.tool)
        self._note_install(news.tool, news.plan, news)
        for row in self.preparation.installers:
            if row["error"]:
                self.report.problem(wording.installer_skipped(row["tool"], row["error"]))
        for reason in (*news.replaced, *news.unexplained):
            self.report.problem(reason)
        names = [choice.name for choice in news.plan.choices if choice.entry is not None]
        self.report.say(wording.installed(news.tool, names))
        # With another version of torch in the bundle, no worker may import the image's before this moment.
        if self.plan.replaces:
            self.workers.start()
        elif news.replaced:
            self.workers.restart()  # they may hold a copy that does not work

    def _note_install(self, tool: str | None, plan: Plan, news: WheelsRestored | Installed) -> None:
        """Tell report.json what was installed, or is to be; the preparation goes on with its own list."""
        refused = plan.refused | news.refused
        self.report.values["install"] = {
            "tool": tool,
            "installers": self.preparation.installers,
            "choices": [choice.as_dict() for choice in plan.choices],
            "found": news.files,
            "refused": {name: error.problem for name, error in refused.items()},
        }

    def _on_weights(self, at: float, news: WeightsReady) -> None:
        state = self.ladder.state
        self.requests.weights[news.member] = news.path
        self._packed |= news.how == "from an archive"
        state.ready.add(news.member)
        seconds = round(self.report.elapsed(at), 3)
        row = {**to_plain(news), "member": state.ensemble.members[news.member].name, "seconds": seconds}
        self.report.values.setdefault("weights", []).append(row)

    def to_unpack(self) -> int:
        """Return the bytes that weights will still take on the scratch disk, if they come out of archives."""
        if not self._packed or self.finished:
            return 0
        state = self.ladder.state
        done = state.ready | state.losses.members.keys()
        return sum(item.size for number, item in enumerate(state.ensemble.members) if number not in done)

    def _lose(self, members: range | list[int], error: KitError, trace: str | None) -> None:
        state = self.ladder.state
        # Broken concerns all members, and may come after some of them were lost: the first reason is kept.
        self.failure = self.failure or error
        for member in members:
            consequence = self.ladder.drop_member(member, error.problem)
            follows = wording.what_follows(consequence, state.ensemble, state.rungs.rows)
            self.report.problem(wording.member_lost(error, follows), trace=trace)
