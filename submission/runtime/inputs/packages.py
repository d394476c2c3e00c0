"""Makes importable what members need: installs wheels, tries imports, replaces what fails."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.manifest import Manifest
from submission.runtime.inputs.import_check import ImportCheck
from submission.runtime.inputs.install import install
from submission.runtime.inputs.package_plan import Plan, make_plan
from submission.runtime.inputs.restore import Found, Restorer
from submission.runtime.inputs.verdict import judge, shipped

_ROUNDS = 5
"""Import checks: each names at least one more package that has to be replaced."""
_WORK = (20.0, 120.0)
"""Least and most seconds of processor time that one check may use; the largest networks' imports take 10."""


@dataclass(frozen=True)
class Done:
    """What came of it.

    Attributes:
        tool: that installed the wheels.
        plan: the last one.
        replaced: why copies of the image had to be replaced, one sentence each.
        unexplained: failed imports that no package explains; the networks are tried all the same.
        lost: member -> why it cannot run.
        found: all wheels that were verified.
        refused: distribution, or file of its wheel, -> why it cannot be used, beside what the plan refuses.
    """

    tool: str
    plan: Plan
    replaced: list[str]
    unexplained: list[str]
    lost: dict[int, KitError]
    found: list[Found]
    refused: dict[str, KitError]


class Packages:
    """Installs and tries until all imports work, or nothing more can be replaced.

    Args:
        needed: for each member the distributions that it needs directly.
        manifests: of the datasets.
        plan: what to install first.
        site: where packages go.
        scratch: for links and results of checks.
        timeout: seconds one installer or check may take.
        start_check: starts an import check that writes its result into a file.
        on_process: called with every process, so that the caller can end it.
        on_end: called with what came of each installer, as `install` does.
    """

    def __init__(
        self,
        needed: Sequence[Sequence[str]],
        manifests: Sequence[Manifest],
        plan: Plan,
        *,
        site: Path,
        scratch: Path,
        timeout: float,
        start_check: Callable[[Path], ImportCheck],
        on_process: Callable[[subprocess.Popen[bytes]], None],
        on_end: Callable[[dict[str, Any]], None],
    ) -> None:
        self.needed, self.manifests, self.plan = needed, manifests, plan
        self.site, self.scratch, self.timeout = site, scratch, timeout
        self._start, self._on_process, self._on_end = start_check, on_process, on_end
        self._check: ImportCheck | None = None
        self._checks = 0

    def begin(self) -> None:
        """Start the import check if nothing has to be installed before."""
        if not self.plan.wheels:
            self._begin_check()

    def _begin_check(self) -> ImportCheck:
        self._checks += 1
        self._check = self._start(self.scratch / f"imports-{self._checks}.jsonl")
        if self._check.process is not None:
            self._on_process(self._check.process)
        return self._check

    def install(self, restorer: Restorer, found: Sequence[Found]) -> Done:
        """Install wheels, try all imports, and replace copies of the image that fail.

        Args:
            restorer: finds the wheels that replace them.
            found: the wheels of the plan.

        Raises:
            KitError: the wheels cannot be installed.
        """
        # Round 1: the image has all, but `import yaml` fails. The plan is made again without the image's
        # PyYAML: its wheel is restored and installed. Round 2: all imports work, with the wheel's copy.
        plan, wheels, accepted = self.plan, list(found), shipped(self.manifests)
        distrusted: dict[str, str] = {}
        unfit: dict[str, KitError] = {}
        notes: list[str] = []
        for _ in range(_ROUNDS):
            tool = install(
                wheels,
                self.site,
                self.scratch,
                timeout=self.timeout,
                on_start=self._on_process,
                on_end=self._on_end,
            )
            check = self._check or self._begin_check()
            work = max(_WORK[0], min(_WORK[1], self.timeout))
            verdict = judge(check.result(work), plan.choices, accepted)
            self._check = None
            unfit = verdict.lost
            new = {name: why for name, why in verdict.distrusted.items() if name not in distrusted}
            if not new:
                break
            distrusted |= new
            plan = make_plan(self.needed, self.manifests, distrusted)
            have = [item.entry for item in wheels]
            more, errors = restorer.restore([entry for entry in plan.wheels if entry not in have])
            unfit = unfit | errors
            if not more:
                break
            wheels += more
        if not plan.errors:  # else the reason why something cannot be imported is told already
            notes = verdict.notes
        replaced = [f"{choice.name}: {choice.reason}" for choice in plan.choices if choice.name in distrusted]
        lost = plan.lost_without(unfit)
        return Done(tool, plan, replaced, notes, lost, wheels, unfit)
