"""An ensemble of models that held no image out: nothing can be tuned or scored, and it says so."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kit.ensemble import Rung
from train_local.data.prepared import Prepared
from train_local.ensemble.build import Built, to_ensemble
from train_local.ensemble.finished_runs import FinishedRun
from train_local.ensemble.ladder import Ladder, LadderRung
from train_local.ensemble.trial import TrialPass

NOTE = (
    "No run held images out: weights and settings are the defaults, and no score is known. Train on folds "
    "and add those weights (FILE@FOLD) to know one."
)


def build_unscored(prepared: Prepared, runs: Sequence[FinishedRun]) -> Built:
    """Return an ensemble of all runs: a rung more for each, all with equal weights and default settings.

    The first rung is the first view of the first run, then come the other views and runs.

    Args:
        prepared: what the runs were trained on.
        runs: the finished runs.
    """
    most = max(len(run.views) for run in runs)
    passes = [
        TrialPass(run, run.views[place]) for place in range(most) for run in runs if place < len(run.views)
    ]
    rungs = []
    for length in range(1, len(passes) + 1):
        rung = Rung(passes=list(range(length)), weights=[1.0] * length, settings={}, cv=None)
        last = passes[length - 1]
        seconds = sum(one.seconds_per_megapixel for one in passes[:length])
        added = f"{last.run.member.name} {last.view} (not measured)"
        rungs.append(LadderRung(rung, added, seconds, None, math.nan, None))
    ladder = Ladder(passes, rungs)
    return Built(to_ensemble(prepared, runs, ladder), ladder, (NOTE,))
