"""The built wheel beside mmdet and mmseg in a fresh environment of each Python the kit supports."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin

from bundle.lockfile import PYTHONS, load

ROOT = Path(__file__).parents[2]
STEP = Path(__file__).with_name("detectors_htc_step.py")
WANTED = ("torch", "torchvision", "mmdet", "mmsegmentation", "opencv-python-headless")


def uv(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    if shutil.which("pyenv"):
        # pyenv's shims answer only for versions that are named.
        versions = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True)
        environment["PYENV_VERSION"] = ":".join(versions.stdout.split())
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    return subprocess.run(
        [find_uv_bin(), *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )


def interpreter(version):
    found = uv("python", "find", "--no-project", "--system", version)
    if found.returncode:
        pytest.skip(f"no Python {version} on this machine")
    return found.stdout.strip()


def environment_for(version, wheel):
    """A Python with the wheel and the locked versions of what it works with; kept as long as these stay."""
    python = interpreter(version)
    constraints = "".join(
        f"{pin.name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "") + "\n"
        for pin in load(ROOT / "requirements.lock")
    )
    identity = hashlib.sha256(f"{python}\n{WANTED}\n{constraints}".encode()).hexdigest()
    folder = ROOT / "build" / "test-environments" / f"mmcv-{version}-{identity[:12]}"
    inside, limits = folder / "bin" / "python", folder / "constraints.txt"
    if not limits.is_file():
        done = uv("venv", "--quiet", "--clear", "--python", python, folder)
        assert done.returncode == 0, done.stderr
        limits.write_text(constraints)
    install = ("pip", "install", "--quiet", "--python", inside, "-c", limits)
    done = uv(*install, "--reinstall-package", "mmcv-full", *WANTED, wheel)
    assert done.returncode == 0, done.stderr
    return inside


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_detectors_htc_trains_a_step_and_detects(mmcv_wheel, version):
    python = environment_for(version, mmcv_wheel)
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
