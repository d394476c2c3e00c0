"""Whether a submission is safe to send: predicted against real rung, the expected score, what went wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.ensemble import Ensemble
from kit.local.wording import amount, counted
from kit.plan.hidden_run import SLOWER

_MACHINES = math.log(1.35)
"""Standard deviation of the logarithm of a machine's speed: the planner's, before it has measured."""
_LATE = 1.645
"""Standard deviations from the median of a forecast in report.json to its last end."""
_MORE_ROOM = (
    "a larger --budget, if the competition allows it; fewer passes or a cheaper network in the first rung; "
    "or a faster machine"
)
_NEARLY = 0.97
"""Share of the memory or of a disk from which on it counts as used up."""


@dataclass(frozen=True)
class Expected:
    """A rung, how likely it is reached, and the scores with and without it.

    Attributes:
        rung: index in `Ensemble.rungs`.
        chance: probability that it is done in time.
        cv: its cross-validation; None if it is not known.
        below: cross-validation of the rung that stands if it is not done; None if it is not known.
    """

    rung: int
    chance: float
    cv: float | None
    below: float | None

    @property
    def score(self) -> tuple[float, float] | None:
        """Mean and standard deviation of the score; None if a cross-validation is not known."""
        # 0.82 with a chance of 0.9, else 0.80: mean 0.818, deviation sqrt(0.9 * 0.1) * 0.02 = 0.006.
        if self.cv is None or self.below is None:
            return None
        mean = self.chance * self.cv + (1 - self.chance) * self.below
        return mean, math.sqrt(self.chance * (1 - self.chance)) * abs(self.cv - self.below)


def verdict(
    result: Mapping[str, Any], report: Mapping[str, Any] | None, ensemble: Ensemble, *, sign: int = 1
) -> dict[str, Any]:
    """Return what rehearsal.json says of a submission.

    Args:
        result: of the rehearsal so far.
        report: report.json; None if there is none.
        ensemble: of the script.
        sign: -1 where a lower score is better; rungs have the negative of such a score.

    Returns:
        "predicted_rung" and "reached_rung" (indices, None for none; a server predicts none), "chance",
        "expected_score", "spread", "at_the_limit" (whether these are of the hidden test set's size),
        "size_unknown" (a dry run did not know that size), "safe", "why", "fix" (what gives a first rung that
        takes too long more room; None where that is not the matter) and "text", the whole in one sentence.
    """
    hidden = (report or {}).get("hidden_run") or {}
    forecast = _at_the_limit(hidden, ensemble)
    here = _when_it_began(report, ensemble)
    expected = forecast or here
    why = [*_wrong(result), *(_lost(report) if report is not None else ["there is no report.json"])]
    why += [str(reason) for reason in hidden.get("why", []) if hidden.get("safe") is False]
    score = None if expected is None else expected.score
    found = {
        "predicted_rung": None if here is None or "calls" in (report or {}) else here.rung,
        "reached_rung": _reached(report),
        "chance": None if expected is None else round(expected.chance, 3),
        "expected_score": None if score is None else round(score[0], 5),
        "spread": None if score is None else round(score[1], 5),
        "at_the_limit": forecast is not None,
        "size_unknown": bool(hidden) and hidden.get("safe") is None,
        "safe": not why,
        "why": why,
        "fix": _MORE_ROOM if _too_slow(hidden) else None,
    }
    return found | {"text": _text(found, sign)}


def _too_slow(hidden: Mapping[str, Any]) -> bool:
    """Whether the dry run found too little time for the first rung at the hidden size."""
    slower = hidden.get("slower_first_rung")
    none_done = "images" in hidden and hidden.get("rung") is None
    return hidden.get("safe") is False and (none_done or (slower is not None and slower < SLOWER))


def _expected(rung: int, chance: float, ensemble: Ensemble) -> Expected:
    rungs = ensemble.rungs
    inside = [other for other in rungs[:rung] if set(other.passes) < set(rungs[rung].passes)]
    below = inside[-1].cv if inside else rungs[rung].cv
    return Expected(rung, chance, rungs[rung].cv, below)


def _when_it_began(report: Mapping[str, Any] | None, ensemble: Ensemble) -> Expected | None:
    """Return what the run worked towards when it made its first forecast; the first rung without any.

    Of a server it is the rung that every call reached.
    """
    if report is None or not report.get("rungs"):
        return None
    if "calls" in report:  # a server plans each call for itself, and forecasts nothing of the run
        reached = _reached(report)
        return None if reached is None else _expected(reached, 1.0, ensemble)
    forecasts = report.get("forecasts")
    if not forecasts:
        return _expected(0, 1.0, ensemble)
    first = forecasts[0]
    _, median, late = (max(end - first["seconds"], 1e-3) for end in first["ends"][-1])
    left = max(report["deadline"] - first["seconds"], 1e-3)
    spread = math.log(late / median) / _LATE
    return _expected(first["rungs"][-1], _chance(math.log(left / median), spread), ensemble)


def _chance(deviation: float, spread: float) -> float:
    """Return the probability that a normal number is below this."""
    return 0.5 * math.erfc(-deviation / max(spread, 1e-6) / math.sqrt(2))


def _at_the_limit(hidden: Mapping[str, Any], ensemble: Ensemble) -> Expected | None:
    """Return what the dry run forecasts for the hidden test set; None if it does not."""
    if hidden.get("rung") is None or hidden.get("slower_same_rung") is None:
        return None
    # A machine up to 1.8 times slower still reaches the rung. ln 1.8 = 0.59 is two deviations of machines.
    slower = max(float(hidden["slower_same_rung"]), 1e-6)
    return _expected(int(hidden["rung"]), _chance(math.log(slower), _MACHINES), ensemble)


def _reached(report: Mapping[str, Any] | None) -> int | None:
    done = [row["index"] for row in (report or {}).get("rungs", ()) if row["state"] == "done"]
    return done[-1] if done else None


def _wrong(result: Mapping[str, Any]) -> list[str]:
    enforced = result["enforced"]
    found = []
    if result["exit_code"] is None:
        found.append("it was killed because its time was up")
    elif result["exit_code"] != 0:
        found.append(f"it ended with exit code {result['exit_code']}")
    elif not result["in_time"]:
        found.append(f"it took {result['seconds']:.0f} s, too long")
    if not result["valid"]:
        found.append("the file is not valid")
    if enforced["killed"]:
        found.append(
            f"memory ran out: {counted(enforced['killed'], 'killed process', plural='killed processes')}"
        )
    elif enforced["memory"] and (enforced["most_memory"] or 0) > _NEARLY * enforced["memory"]:
        found.append("nearly all the memory was used")
    for name, disk in enforced["disks"].items():
        if disk["most"] > disk["size"]:
            found.append(f"the {name} disk held {amount(disk['most'])}, too much")
    return found


def _lost(report: Mapping[str, Any]) -> list[str]:
    """Say what of the ensemble or of the images was lost without a fault of the machine's."""
    images = report.get("images", [])
    fallback = [image["id"] for image in images if image["row"] == "fallback"]
    found = [f"{len(fallback)} of {len(images)} images have the fallback row"] if fallback else []
    if report.get("left_out"):
        found.append("the output disk had no room for the whole report")
    # A run without images shows what its dry run measured on others; without that it shows nothing.
    measured = not images and (report.get("hidden_run") or {}).get("members_measured")
    if _reached(report) is None and not measured:
        found.append("no rung was finished")
    return found


def told(found: Mapping[str, Any], rungs: int) -> Sequence[str]:
    """Return the last lines for people; the very last says whether the submission is safe to send.

    Args:
        found: what `verdict` returned.
        rungs: number of them.
    """

    def name(rung: int | None) -> str:
        return "none" if rung is None else f"{rung + 1} of {rungs}"

    predicted, reached = found["predicted_rung"], found["reached_rung"]
    only_reached = predicted is None and reached is not None
    before = "" if only_reached else f"predicted {name(predicted)}, "
    lines = [f"rung        {before}reached {name(reached)}{' in every call' if only_reached else ''}"]
    return [*lines, f"verdict     {found['text']}"]


def _text(found: Mapping[str, Any], sign: int) -> str:
    """Whether the submission is safe to send, in one sentence."""
    if not found["safe"]:
        why = f"NOT SAFE to send: {'; '.join(found['why'])}"
        return why if found["fix"] is None else f"{why}; to mend it: {found['fix']}"
    score = "of an unknown score"
    if found["expected_score"] is not None:
        score = f"with an expected score of {found['expected_score'] * sign:.4f}"
        # The spread is that of the rungs that may be reached; how far images differ nobody can know here.
        score += f" +- {found['spread']:.4f} by the rung reached" if found["spread"] >= 5e-5 else ""
    if found["size_unknown"]:
        return f"safe to send on images like these, {score}; the hidden test set's size is not known"
    place = "on the hidden test set" if found["at_the_limit"] else "on images like these"
    return f"safe to send, {score} {place}"
