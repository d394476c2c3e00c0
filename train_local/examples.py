"""Command lines that the help of `python -m train_local` shows; a test holds that they can be parsed."""

from __future__ import annotations

from collections.abc import Mapping

_PREPARED = "--prepared work/kidney"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "prepare": (
        "prepare kidney --data DIR --out work/kidney",
        "prepare FILE.toml --data DIR --out work/mine --dry-run --json",
        "prepare body --data DIR --out work/body --stains stains",
    ),
    "stain": (
        "stain kidney --data DIR --out stains --like hubmap1=slide.tiff",
        "stain body --data DIR --out stains --like hubmap1=A.tiff hubmap2=B.tiff",
    ),
    "sample": ("sample --source DIR --out sample",),
    "train": (f"train unet-regnety16 {_PREPARED} --out runs/kidney --fold all --tiny",),
    "train-all": (
        f"train-all {_PREPARED} --out runs --dry-run",
        f"train-all {_PREPARED} --out runs --only 'unet*' --jobs 2 --tiny",
    ),
    "add-model": ("add-model model.py --weights fold0.safetensors@0 --prepared work/mine --runs runs/mine",),
    "job": (f"job kidney/unet-regnety16.fold0 {_PREPARED} --out runs",),
    "ensemble": (
        f"ensemble {_PREPARED} --runs runs/kidney --out dist/kidney/ensemble.json",
        f"ensemble {_PREPARED} --runs runs/kidney --out dist/kidney/ensemble.json --as-published list",
    ),
    "report": (f"report {_PREPARED} --runs runs --out dist/training.html",),
    "baseline": ("baseline --competition kidney --data DIR --out baseline.csv",),
    "recipes": ("recipes", "recipes --check --json"),
    "show": ("show unet-regnety16 --tiny", "show detectors-x101@text --json"),
    "diff": ("diff detectors-r50 detectors-x101",),
}
"""Verb -> what follows the program's name."""
