"""What a page says about one run of predict.py, from its report.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.artefacts import read_json
from kit.errors import KitError
from submission.report.forecasts import done_at, forecast_chart
from submission.report.image_rungs import image_chart
from submission.report.install_log import InstallRow, install_rows
from submission.report.memory import ProcessMemory, memory_chart, processes
from submission.report.paths import path_chart, rung_costs
from submission.report.timeline import marks_of, timeline
from submission.report.units import bars_of

SCHEMA = 1
_MOST_LOST = 200
"""Images without a prediction that the page lists."""


@dataclass(frozen=True)
class RungRow:
    """One rung, as the run left it.

    Attributes:
        number: as people count, from 1.
        passes: as people count, e.g. "1-3, 6".
        names: member and view of each pass.
        cv: score of unseen images; None if nobody held images out.
        cost: seconds per megapixel of its passes.
        state: "done", "incomplete", "too long" and so on.
        why: what the state does not tell: the forecast when it began, or why it did not.
        done_at: seconds since the process started; None if it was not done.
    """

    number: int
    passes: str
    names: str
    cv: float | None
    cost: float
    state: str
    why: str
    done_at: float | None


@dataclass(frozen=True)
class RunPart:
    """One run, ready for the template.

    Attributes:
        run: content of report.json.
        rungs: one row for each.
        lost: images without a prediction, as report.json has them, the first 200.
        lost_count: number of all these images.
        timeline, memory, forecasts, paths, images: charts as SVG elements, None where there is nothing to
            draw.
        processes: what each had in memory at most.
        installed: one row for each distribution.
        first_forward: seconds until the first forward pass; None if there was none.
    """

    run: Mapping[str, Any]
    rungs: list[RungRow]
    lost: list[Mapping[str, Any]]
    lost_count: int
    timeline: str | None
    memory: str | None
    processes: list[ProcessMemory]
    installed: list[InstallRow]
    forecasts: str | None
    paths: str | None
    images: str | None
    first_forward: float | None

    @property
    def refused(self) -> bool:
        """Whether a distribution is not there that the run needed."""
        return any(row.state in {"refused", "not installed"} for row in self.installed)

    @property
    def installed_counts(self) -> str:
        """How many distributions became what: "14 installed, 17 already there"."""
        counts = Counter(row.state for row in self.installed)
        return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def read_run(path: Path) -> dict[str, Any]:
    """Read a report.json of predict.py.

    Raises:
        KitError: it is missing, damaged, of something else, or of another version of the kit.
    """
    run = read_json(path)
    fix = "name the report.json that a run of predict.py wrote"
    if not isinstance(run, dict) or not isinstance(run.get("events"), list):
        raise KitError("this is no report of predict.py", where=path, fix=fix)
    if run.get("schema") != SCHEMA:
        raise KitError(
            f"this report has the schema {run.get('schema')}, and this kit reads {SCHEMA}",
            where=path,
            fix="use the version of the kit that rendered that predict.py",
        )
    return run


def part_of(run: Mapping[str, Any], where: Path) -> RunPart:
    """Draw the charts of a run, and make its tables.

    Args:
        run: content of report.json. What a run that was killed did not come to write is left out.
        where: the file, for messages.

    Raises:
        KitError: something in it is not what a run of predict.py writes.
    """
    try:
        bars = bars_of(run)
        lost = [item for item in run.get("images", []) if item["row"] == "fallback"]
        seconds = [event["seconds"] for event in run["events"] if event["name"] == "first_forward"]
        return RunPart(
            run=run,
            rungs=_rungs(run),
            lost=lost[:_MOST_LOST],
            lost_count=len(lost),
            timeline=timeline(bars, marks_of(run), budget=run.get("budget")) if bars else None,
            memory=memory_chart(run),
            processes=processes(run),
            installed=install_rows(run),
            forecasts=forecast_chart(run),
            paths=path_chart(run),
            images=image_chart(run),
            first_forward=seconds[0] if seconds else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged(error, where) from error


def damaged(error: Exception, where: Path) -> KitError:
    """Return what to say of a report that is not as runs of predict.py write it."""
    return KitError(
        f"this report of predict.py is damaged: {type(error).__name__} {error}",
        where=where,
        fix="copy the file again from the run's output",
    )


def _rungs(run: Mapping[str, Any]) -> list[RungRow]:
    cost, done = rung_costs(run), done_at(run)
    names = {item["index"]: f"{item['member']} / {item['view']}" for item in run.get("passes", [])}
    return [
        RungRow(
            number=rung["index"] + 1,
            passes=_counted(rung["passes"]),
            names=", ".join(names.get(index, str(index + 1)) for index in rung["passes"]),
            cv=rung.get("cv"),
            cost=cost[rung["index"]],
            state=rung["state"],
            why=_why(rung),
            done_at=done.get(rung["index"]),
        )
        for rung in run.get("rungs", [])
    ]


def _counted(passes: list[int]) -> str:
    return ", ".join(str(index + 1) for index in passes)


def _why(rung: Mapping[str, Any]) -> str:
    if "reason" in rung:
        return str(rung["reason"])
    if "chance" in rung:
        chance = 100 * rung["chance"]
        return f"{rung['predicted_seconds']:.0f} s expected when it began, {chance:.0f} % likely in time"
    if "predicted_seconds" in rung:
        return f"{rung['predicted_seconds']:.0f} s expected"
    return ""
