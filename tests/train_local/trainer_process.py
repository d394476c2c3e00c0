"""Trains the blob recipe in a process of its own; dies by SIGKILL at its n-th write to disk if told to.

Arguments: prepared folder, runs folder, seconds between checkpoints, number of the fsync to die at (0: none).
"""

import os
import signal
import sys
from pathlib import Path

import blobs  # beside this script
import torch

from train_local.data import prepared
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.train import train


def die_at(number):
    done, real = 0, os.fsync

    def fsync(descriptor):
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync


if __name__ == "__main__":
    data, runs, seconds, number = sys.argv[1:]
    torch.set_num_threads(1)
    if int(number):
        die_at(int(number))
    made = prepared.load(Path(data))
    run, initial = PlannedRun(blobs.recipe(iterations=24, eval_every=8), 0).ready(made, Path(runs))
    train(run, made, Options(device="cpu", checkpoint_seconds=float(seconds)), initial=initial)
