"""Trains the blob recipe several times, each in a process of its own that may die by SIGKILL on the way.

The processes are forked when torch is imported, which takes longer than the training. Arguments: prepared
folder, then one JSON value a process, of `Job`. A line of JSON is printed for each: code, and what it wrote.
"""

import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import blobs  # beside this script
import torch

from train_local.data import prepared
from train_local.engine.train import train
from train_local.monitor.logs import Log
from train_local.options import Options
from train_local.planned_runs import PlannedRun
from train_local.recipes.settings import Validation


@dataclass
class Job:
    """One process.

    Attributes:
        runs: folder of runs.
        seconds: between checkpoints.
        die_at: number of the fsync to die at, 0: none.
        die_behind: number of the step behind whose line in the log to die, 0: none.
    """

    runs: str
    seconds: float = 0.0
    die_at: int = 0
    die_behind: int = 0


def die_at(number):
    done, real = 0, os.fsync

    def fsync(descriptor):
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    os.fsync = fsync


def die_behind(step):
    real = Log.write

    def write(log, number, **values):
        real(log, number, **values)
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Log.write = write


def work(data, job):
    if job.die_at:
        die_at(job.die_at)
    if job.die_behind:
        die_behind(job.die_behind)
    made = prepared.load(Path(data))
    recipe = blobs.recipe(iterations=24, validation=Validation(every=8, unit="iteration"))
    run, initial = PlannedRun(recipe, 0).ready(made, Path(job.runs))
    train(run, made, Options(device="cpu", checkpoint_seconds=job.seconds), initial=initial)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for text in sys.argv[2:]:
        with tempfile.TemporaryFile() as said:
            if (process := os.fork()) == 0:
                os.dup2(said.fileno(), 2)
                work(sys.argv[1], Job(**json.loads(text)))
                sys.exit()
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            said.seek(0)
            print(json.dumps([code, said.read().decode()]), flush=True)
