"""How long the hidden run would take, from what the commit run measured.

The dry run at its end made a forecast where the competition names the size of the hidden test set. A size
that is given here, or a report without a forecast, is judged by measured seconds per megapixel.

The hidden run uses other images, and another processor: a public case took half an hour in the commit run and
twelve hours hidden. So the figure is a range, and it is only told where the number of hidden images is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ensemble import Ensemble, from_dict
from kit.errors import KitError
from kit.plan.hidden_run import SLOWER
from submission.runtime.result.hidden_run import lines


@dataclass(frozen=True)
class HiddenTime:
    """Seconds of the hidden run.

    Attributes:
        set_up: from its start until predictions can begin, as in the commit run.
        rungs: for each rung of the ladder, from the start to its end, as fast as the commit run.
        budget: seconds that predict.py allows itself; what it has done by then stands.
        known: whether the hidden images are known; otherwise `rungs` is empty.
        forecast: "hidden_run" of the commit run's report, if its dry run came to an end and no size is given.
        forecast_lines: the same in words.
    """

    set_up: float
    rungs: tuple[float, ...]
    budget: float
    known: bool
    forecast: Mapping[str, Any] | None = None
    forecast_lines: tuple[str, ...] = ()

    @property
    def range(self) -> tuple[float, float] | None:
        """Low and high seconds of the whole run; predict.py ends it at its budget."""
        if self.forecast is not None and "run_seconds" in self.forecast:
            seconds = self.forecast["run_seconds"]
            return min(seconds, self.budget), min(seconds * SLOWER, self.budget)
        if not self.rungs:
            return None
        return min(self.rungs[-1], self.budget), min(self.rungs[-1] * SLOWER, self.budget)

    def last_rung(self) -> int:
        """Return how many rungs fit into the budget with the margin; 0 for none."""
        return sum(seconds * SLOWER <= self.budget for seconds in self.rungs)


def hidden_time(report: Mapping[str, Any], *, images: int | None, megapixels: float | None) -> HiddenTime:
    """Return the seconds of the hidden run.

    Args:
        report: report.json of the commit run.
        images: of the hidden test set; None if nobody knows.
        megapixels: of all hidden images together; None: the mean of the commit run's images times `images`.

    Raises:
        KitError: the report lacks what every report has.
    """
    try:
        ensemble = from_dict(report["ensemble"])
        set_up = _set_up(report["events"])
        budget = float(report["budget"])
        workers = max(1, int(report.get("workers") or 1))
        if images is None and megapixels is None and "seconds" in report.get("hidden_run", ()):
            told = report["hidden_run"]
            return HiddenTime(
                set_up, (), budget, known=False, forecast=told, forecast_lines=tuple(lines(told, ensemble))
            )
        sizes = [item["height"] * item["width"] / 1e6 for item in report.get("images", ())]
        rates = _rates(ensemble, report.get("passes", ()))
    except (KeyError, TypeError, ValueError) as error:
        raise KitError(
            f"the commit run's report.json lacks {error}",
            fix="render predict.py again with this kit and push it",
        ) from error
    if megapixels is None and images is not None and sizes:
        megapixels = images * sum(sizes) / len(sizes)
    if megapixels is None:
        return HiddenTime(set_up, (), budget, known=False)
    # 2 workers, passes of 3 s and 5 s per megapixel, 100 megapixels: (3 + 5) * 100 / 2 = 400 s + set-up.
    seconds = tuple(
        set_up + sum(rates[index] for index in rung.passes) * megapixels / workers for rung in ensemble.rungs
    )
    return HiddenTime(set_up, seconds, budget, known=True)


def require_budget(budget: float, limit: float) -> None:
    """Refuse a script that plans for longer than the competition allows, both in seconds.

    Raises:
        KitError: it does.
    """
    if budget > limit:
        raise KitError(
            f"predict.py plans for {budget:.0f} s, and the competition stops it after {limit:.0f} s",
            where="--hours",
            fix=f"correct --hours, or render with --budget {int(limit * 0.94)}, then push that",
        )


def require_fits(hidden: HiddenTime, limit: float) -> None:
    """Refuse a run that would certainly be lost.

    Args:
        hidden: its predicted seconds.
        limit: seconds that the competition allows.

    Raises:
        KitError: predict.py plans for longer than the competition allows, or not even the first rung fits.
    """
    require_budget(hidden.budget, limit)
    if hidden.set_up * SLOWER > hidden.budget:
        raise KitError(
            f"the set-up alone took {hidden.set_up:.0f} s of the {hidden.budget:.0f} s there are; in the "
            "hidden run nothing would be predicted",
            where="report.json of the commit run",
            fix="make the bundle smaller, or use --force if you know better",
        )
    if hidden.forecast is not None and hidden.forecast["safe"] is False:
        raise KitError(
            f"the dry run at the end of the commit run says: {'; '.join(hidden.forecast['why'])}",
            where="report.json of the commit run",
            fix="put a cheaper member first, correct --hidden-images, or use --force if you know better",
        )
    if hidden.known and hidden.last_rung() == 0:
        raise KitError(
            f"the first rung would take {hidden.rungs[0]:.0f} to {hidden.rungs[0] * SLOWER:.0f} s in the "
            f"hidden run, and there are {hidden.budget:.0f} s",
            where="report.json of the commit run",
            fix="put a cheaper member first, correct --hidden-images, or use --force if you know better",
        )


def _set_up(events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds until everything is installed and restored: the last event before the first prediction."""
    at = {str(event["name"]): float(event["seconds"]) for event in events}
    return max(at[name] for name in ("fallback", "restored", "installed", "verified", "device") if name in at)


def _rates(ensemble: Ensemble, passes: Sequence[Mapping[str, Any]]) -> list[float]:
    """Seconds per megapixel of every pass: measured where the commit run had images, else the ensemble's."""
    measured = {
        int(item["index"]): float(seconds)
        for item in passes
        if (seconds := item.get("seconds_per_megapixel"))
    }
    expected = [item.seconds_per_megapixel for item in ensemble.passes]
    # Passes of 2 s and 3 s where the ensemble says 1 s and 2 s: the others take 5/3 of what it says, too.
    known = [index for index in range(len(expected)) if index in measured]
    speed = (
        sum(measured[index] for index in known) / sum(expected[index] for index in known) if known else 1.0
    )
    return [measured.get(index, value * speed) for index, value in enumerate(expected)]
