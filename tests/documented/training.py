"""The pages' ways to prepare and to train, with tiny networks and few steps."""

import contextlib
import os
import re
import sys
from pathlib import Path

import pytest

from tests.documented.walks import Step, Walk

_ROOT = Path(__file__).parents[2]
_SLURM = _ROOT / "tests" / "train_local" / "jobs" / "fake_slurm.py"
_KIDNEY = ("--prepared", "work/kidney", "--tiny", "--only", "unet-regnety16-tiny.fold0")
_PLAN = ("--dry-run",)
_SUBMIT = "slurm_partition=gpu slurm_account=me timeout_min=720 mem_gb=64"
_IMAGE = "sample/body/train_images/10001.tiff"
_ONE_FOLD = ("--fold", "0", "--tiny")
_DONE = r"jobs? (is|are) done"
_PLANNED = r"kidney/unet-regnety16"


def still_fewer_steps(kit):
    """Train until there is something to predict with: this walk looks at no score."""
    for name, before, after in (
        ("unet", "iterations=60,", "iterations=4,"),
        ("vasculature", "steps = 10", "steps = 3"),
    ):
        path = kit / "train_local" / "recipes" / f"{name}.py"
        path.write_text(path.read_text().replace(before, after))


def own_recipe(kit):
    """Write the file that docs/own-recipe.md shows."""
    page = (kit / "docs" / "own-recipe.md").read_text()
    [(name, text)] = re.findall(r'```python title="([^"]+)"\n(.*?)```', page, re.DOTALL)
    (kit / name).write_text(text)


@contextlib.contextmanager
def clusters(folder):
    """A Slurm on PATH, and a Ray cluster of one node; `RAY` in a step's words is its address."""
    from ray.cluster_utils import Cluster

    tools, jobs = folder / "tools", folder / "slurm"
    for made in (tools, jobs):
        made.mkdir(exist_ok=True)
    for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {_SLURM} {jobs} {name} "$@"\n')
        (tools / name).chmod(0o755)
    head = {"num_cpus": 2, "num_gpus": 1, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else a job waits until the other tests' processes are idle
        cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
        yield {"PATH": path, "RAY": cluster.address}
    finally:
        cluster.shutdown()


def _prepared():
    kidney = {"DIR": "sample/kidney"}
    body = {"DIR": "sample/body", "STAINS": "stains"}
    like = {"hubmap1=A.tiff": f"hubmap1={_IMAGE}", "hubmap2=B.tiff": f"hubmap2={_IMAGE}"}
    return (
        still_fewer_steps,
        Step("nox -s train-all -- --tiny", _DONE, more=("--only", "unet-regnety16-tiny.fold0")),
        Step("nox -s prepare -- kidney --data DIR --dry-run", "GB", kidney),
        Step(
            "nox -s prepare -- vasculature --data DIR --split strips",
            r"94 images in 10 folds\s+\(strips\)",
            {"DIR": "sample/vasculature"},
            more=("--folds", "10"),  # a detector predicts its whole fold: few images
        ),
        Step(
            "python -m train_local stain body --data DIR --out STAINS --like hubmap1=A.tiff hubmap2=B.tiff",
            "30 copies",
            body | like,
        ),
        Step("nox -s prepare -- body --data DIR --stains STAINS", "body", body),
        Step(
            "python -m train_local prepare kidny --data /data/kidney --out work/kidney",
            "did you mean.*kidney",
            code=2,
        ),
    )


def _trained():
    return (
        Step(
            "nox -s train-all -- --data vasculature DIR",
            _DONE,
            {"vasculature": "kidney", "DIR": "sample/kidney"},
            more=_KIDNEY[2:],
        ),
        Step("nox -s train-all -- --batch-size 4 --checkpointing", _DONE, more=(*_KIDNEY, "--out", "small")),
        Step("nox -s train-all -- --views identity hflip@0.8", _DONE, more=_KIDNEY),
        Step("nox -s train-all -- --jobs 2 --device cpu", _DONE, more=(*_KIDNEY, "--out", "cpu")),
        *(
            Step(f"nox -s train-all -- {words}", _PLANNED, more=_PLAN)
            for words in ("--gpus 2", "--gpus-per-run 2", "--jobs 8")
        ),
        Step("nox -s train-all -- vasculature --only detectors*", "vasculature/detectors-r50", more=_PLAN),
        own_recipe,
        Step("python -m train_local show unet-regnety16-wide", "768"),
        Step("python -m train_local diff unet-regnety16 unet-regnety16-wide", "768"),
        Step("nox -s train-all -- kidney --only unet-regnety16-wide --tiny", _DONE),
        Step("nox -s train-all -- kidney --only unet-regnety16-wide*", "unet-regnety16-wide", more=_PLAN),
        Step(
            "python -m train_local job kidney/unet-regnety16.fold0 --prepared work/kidney --out runs",
            "mean Dice",
            {"kidney/unet-regnety16.fold0": "kidney/unet-regnety16-tiny.fold0"},
            more=("--tiny",),
        ),
        Step("nox -s train-detectors-r50 -- --budget 2h", "published steps fit into 7200 s", more=_ONE_FOLD),
        Step(
            "python -m train_local report --prepared work/kidney --runs runs --dist dist --out training.html",
            "training.html",
        ),
        Step(
            "python -m train_local report",
            "training.html",
            more=("--prepared", "work/kidney", "--runs", "runs", "--out", "training.html"),
        ),
    )


def _on_clusters():
    return (
        Step(
            "nox -s train-all -- --tiny --executor slurm --submit slurm_partition=gpu",
            _DONE,
            more=(*_KIDNEY[:2], *_KIDNEY[3:], "--out", "slurm"),
            with_service=True,
        ),
        Step(
            f"nox -s train-all -- --executor slurm --submit {_SUBMIT}",
            _DONE,
            more=(*_KIDNEY, "--out", "slurm"),
            with_service=True,
        ),
        *(
            Step(
                f"nox -s train-all -- --executor ray --address {address}",
                _DONE,
                {address: "$RAY"},
                more=(*_KIDNEY, "--out", "ray"),
                with_service=True,
            )
            for address in ("FIRST:6379", "HEAD:6379", "127.0.0.1:6380")
        ),
    )


ALL = Walk("training", (*_prepared(), *_trained(), *_on_clusters()), clusters)
