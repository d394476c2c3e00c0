"""The built wheel beside mmdet and mmseg in a fresh environment of each Python the kit supports."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from kit.local.lockfile import PYTHONS
from tests.bundle.fresh_python import layer_over

STEP = Path(__file__).with_name("detectors_htc_step.py")


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_detectors_htc_trains_a_step_and_detects(python_with_ours, tmp_path, version):
    below, more = python_with_ours(version), ["mmsegmentation"]
    python = layer_over(below, tmp_path / "python", version=version, names=more)
    done = subprocess.run(
        [python, "-I", STEP],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["python"].startswith(f"{version}.")
    assert (seen["mmcv"], seen["mmdet"], seen["mmseg"]) == ("1.7.2", "2.28.2", "0.30.0")
    assert seen["ops"] == "none (portable build)"
    assert {"loss_rpn_cls", "s0.loss_bbox", "s2.loss_mask"} <= set(seen["losses"])
    assert seen["finite"]
    assert seen["trained"] > 600
    assert seen["still"] == []  # parameters no gradient reached
    assert seen["detections"] > 0
    assert seen["masks"] == seen["detections"]
