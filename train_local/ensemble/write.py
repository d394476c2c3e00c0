"""The finished ensemble on disk and on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import competitions
from kit.ensemble import Ensemble
from kit.inference.instance_settings import InstanceFusion
from kit.local.console import show_table
from kit.local.costs import save_with_costs
from kit.local.place_file import place_file
from kit.local.sidecars import sidecar_path
from kit.typed_json import to_plain
from train_local.ensemble.finished_runs import FinishedRun


def write_ensemble(ensemble: Ensemble, runs: Sequence[FinishedRun], out: Path) -> None:
    """Place the members' weights in `weights/` beside `out`, then write the costs and `out`.

    Two equal runs give the same bytes of `out`: what passes cost is measured and goes into a file of its own.

    Raises:
        KitError: the disk is full.
    """
    by_name = {run.member.name: run for run in runs}
    for member in ensemble.members:
        source, target = by_name[member.name].weights, out.parent / "weights" / member.weights
        # Hard links: 16 members of 1.4 GB take no second 22 GB. The JSON says what made the weights, and
        # `bundle` copies it into the dataset's manifest.
        place_file(source, target)
        place_file(sidecar_path(source), sidecar_path(target))
    save_with_costs(out, ensemble)


def show_ensemble(ensemble: Ensemble) -> None:
    """Print a line for each rung: passes, cost, metric and the settings that differ from their defaults."""
    metric = competitions.of(ensemble).metric
    defaults: dict[str, Any] = {**to_plain(InstanceFusion()), "thresholds": {}}
    rows = []
    for number, rung in enumerate(ensemble.rungs):
        last = ensemble.passes[rung.passes - 1]
        cost = sum(item.seconds_per_megapixel for item in ensemble.passes[: rung.passes])
        tuned = [
            f"{name} {_short(value)}" for name, value in rung.settings.items() if value != defaults.get(name)
        ]
        rows.append(
            (
                str(number),
                str(rung.passes),
                f"{ensemble.members[last.member].name} {last.view}",
                f"{cost:.2f}",
                f"{rung.cv:.4f}",
                ", ".join(tuned),
            )
        )
    show_table(
        f"{ensemble.competition}: {len(ensemble.members)} members, {len(ensemble.passes)} passes",
        ("rung", "passes", "last pass", "seconds per megapixel", f"{metric} (out of fold)", "tuned"),
        rows,
    )


def _short(value: Any) -> str:
    """A setting as a table shows it: of a calibration its kind, since its curve is too long."""
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {item['kind'] if isinstance(item, dict) else item}" for key, item in value.items()
        )
    return str(value)
