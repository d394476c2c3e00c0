"""The files that a trained run leaves: its best and its last weights, and those that it hands over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kit
from kit.artefacts import atomic_file, sha256_file
from kit.ensemble import Member
from kit.local.sidecars import sidecar_path, write_sidecar
from kit.models import Network, save_weights
from train_local.data.prepared import Prepared
from train_local.runs import Run
from train_local.validation.evaluate import member_of


def export(run: Run, prepared: Prepared, network: Network, which: str, facts: Mapping[str, Any]) -> Path:
    """Write a network's weights, then the JSON that says what made them.

    Args:
        run: that trained them.
        prepared: on what.
        network: with these weights in it.
        which: "best" or "last"; the name of the file.
        facts: step, metric and kind of the weights, and the metric's name.
    """
    path = run.folder / f"{which}.safetensors"
    # The old JSON goes first: new weights beside an old JSON would look like damaged ones.
    sidecar_path(path).unlink(missing_ok=True)
    # One entry only: safetensors writes several in an order that changes from process to process.
    save_weights(network, path, {"identity": run.identity}, half=run.recipe.half)
    _describe(run, prepared, path, facts)
    return path


def hand_over(run: Run, prepared: Prepared, exported: Path, facts: Mapping[str, Any]) -> Member:
    """Give the weights that the run hands over the name that others look for.

    Args:
        run: that trained them.
        prepared: on what.
        exported: one of the files of `export`.
        facts: of these weights.

    Returns:
        The ensemble member that they make.
    """
    sidecar_path(run.weights).unlink(missing_ok=True)
    with atomic_file(run.weights) as temporary:
        # Two names of one file where the file system has that: a ViT's weights have 1.3 GB.
        try:
            os.link(exported, temporary)
        except OSError:
            shutil.copyfile(exported, temporary)
    return _describe(run, prepared, run.weights, facts)


def _describe(run: Run, prepared: Prepared, path: Path, facts: Mapping[str, Any]) -> Member:
    member = member_of(run, prepared, sha256=sha256_file(path), size=path.stat().st_size)
    metric = facts["metric"]
    write_sidecar(
        path,
        kind="weights",
        config=run.config(),
        inputs={"run": run.identity, "prepared": prepared.identity},
        data=prepared.parts,
        metrics={} if metric is None else {facts["metric_name"]: metric},
        code_version=kit.__version__,
        recipe=run.recipe.name,
        fold=run.fold,
        seed=run.seed,
        step=facts["step"],
        kind_of_weights=facts["kind"],
        network=member.network,
        inference=member.inference,
        requires=member.requires,
    )
    return member
