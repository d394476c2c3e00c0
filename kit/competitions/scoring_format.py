"""The table `[metric]` of a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from kit.optional import optional_module
from kit.typed_json import above


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How predictions are scored; docs/competitions.md has the formulas.

    Attributes:
        name: of a metric that the kit has (`rules.METRICS`); None for one in a file.
        iou: for instances: the IoU from which on a detection is correct; with several, the mean counts.
        beta: for "F-beta": how many times as important recall is as precision.
        average: for "F-beta" of values: "macro" (the mean over targets), "micro" (all targets together) or
            "samples" (the mean over images).
        weights: for "log loss": target -> weight of its rows; 1 for the others.
        file: a Python file with the metric, beside the TOML file.
        source: its content, which is read together with the TOML file.
        higher_is_better: for a metric in a file: whether a higher score is better.
        columns: for a metric in a file: columns of the truth's table that its `solution` gets beside those of
            the submission, such as weights.
    """

    name: str | None = None
    iou: tuple[float, ...] = ()
    beta: Annotated[float, above(0)] = 1.0
    average: Literal["macro", "micro", "samples"] = "macro"
    weights: Mapping[str, Annotated[float, above(0)]] = field(default_factory=dict)
    file: str = ""
    source: str = ""
    higher_is_better: bool | None = None
    columns: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """Return 1 where a higher score is better, -1 where a lower one is."""
        found: int = optional_module(__package__, "rules").sign(self)
        return found

    @property
    def text(self) -> str:
        """Return the name with its thresholds: "mean Dice", "AP@0.6", "mean AP@0.5:0.95"."""
        found: str = optional_module(__package__, "rules").text(self)
        return found
