"""Trains a network of discs in one process, or in two that exchange gradients; prints `done.json`.

Arguments: prepared folder, runs folder, number of processes, rank to kill after its first steps (-1: none).
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import blobs  # beside this script
import torch

from kit.local.program import run_cli
from train_local.data import prepared
from train_local.engine.train import train
from train_local.monitor.progress import read_status
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import NetworkConfig, Optimiser, Validation


def recipe(iterations):
    """SegFormer has layer and group norms only: its passes don't depend on each other. It has dropout."""
    base = blobs.recipe(
        network=NetworkConfig(name="segformer-b0").tiny(),
        losses={"cross_entropy": 1.0, "lovasz": 3.0},
        # An Adam would divide rounding errors of gradients that are nearly zero by themselves.
        optimiser=Optimiser(name="sgd", lr=0.05, momentum=0.9, weight_decay=1e-3),
        data=replace(blobs.recipe().data, crop=64),
        batch_size=2,
        gpus=2,
        accumulate=2,
        iterations=iterations,
        validation=Validation(every=5, unit="iteration"),
    )
    return replace(base, seed=3)


def kill_when_it_trains(folder, rank):
    while (status := read_status(folder)) is None or status.step < 2:
        time.sleep(0.02)
    [victim] = [child for child in multiprocessing.active_children() if child.name == f"rank {rank}"]
    os.kill(victim.pid, signal.SIGKILL)


def command(arguments):
    data, runs, count, victim = arguments
    made = prepared.load(Path(data))
    run, initial = PlannedRun(recipe(10 if int(victim) < 0 else 5000), 0).ready(made, Path(runs))
    if int(victim) >= 0:
        threading.Thread(target=kill_when_it_trains, args=(run.folder, int(victim)), daemon=True).start()
    options = Options(device="cpu", gpus=int(count), bars=False, workers=0)
    print(json.dumps(train(run, made, options, initial=initial)))
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(run_cli(command))
