"""The built wheel, and mmcv as it is installed from that wheel."""

import importlib.metadata
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from bundle import own_wheel
from bundle.mmcv_wheel import SOURCE, build_wheel
from bundle.sdist import fetch, read_pin
from tests.bundle.fresh_python import environment_for, interpreter
from tests.once import once

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "wheels"


@pytest.fixture(scope="session")
def mmcv_sdist():
    return fetch(read_pin(SOURCE / "sdist.json"), CACHE)


@pytest.fixture(scope="session")
def mmcv_wheel(mmcv_sdist, tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"), cache=CACHE, sdist=mmcv_sdist)


@pytest.fixture(scope="session")
def our_wheels(mmcv_wheel, tmp_path_factory):
    """Every wheel of ours that runs on each Python, by the name of its distribution."""
    out = tmp_path_factory.mktemp("own")
    own = {name: own_wheel.build_wheel(source, out) for name, source in own_wheel.SOURCES.items()}
    return {"mmcv-full": mmcv_wheel, **own}


@pytest.fixture(scope="session")
def python_with_ours(our_wheels, tmp_path_factory):
    """Return an interpreter by its version: our wheels, what they ask for, opencv. Read only, please."""

    def python(version):
        interpreter(version)  # skip before anything is made

        def make(folder):
            wheels, more = list(our_wheels.values()), ("opencv-python-headless",)
            (folder / "python").write_text(str(environment_for(version, wheels, name="ours", more=more)))

        return Path((once(tmp_path_factory, f"python-{version}", make) / "python").read_text())

    return python


LATER = """
import sys, time
from pathlib import Path
now, local = time.time, time.localtime
time.time = lambda: now() + 86400 * 400
time.localtime = lambda seconds=None: local(seconds or time.time())
"""


@pytest.fixture
def run_elsewhere(tmp_path):
    """Runs code that builds a wheel: another clock, time zone, locale, umask, hash seed, home and folder.

    What it prints is returned.
    """
    surroundings = {
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "4242",
        "SOURCE_DATE_EPOCH": "1700000000",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    def run(code, *arguments):
        done = subprocess.run(
            [sys.executable, "-c", LATER + code, *map(str, arguments)],
            cwd=tmp_path,
            env=surroundings,
            umask=0o077,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="session")
def ops(mmcv_wheel):
    """mmcv.ops of this environment, once it is known to be what the wheel holds."""
    installed = importlib.metadata.distribution("mmcv-full")
    with zipfile.ZipFile(mmcv_wheel) as wheel:
        for name in wheel.namelist():
            file = Path(installed.locate_file(name))
            if name.startswith("mmcv/") and (not file.is_file() or file.read_bytes() != wheel.read(name)):
                pytest.fail(
                    f"the installed mmcv-full is not what the sources build ({name} differs): build it with "
                    "`python -m bundle wheel mmcv --out DIR`, then `uv pip install --reinstall --no-deps` it"
                )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mmcv announces its successor at every import
        import mmcv.ops
    return mmcv.ops


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request):
    return request.param


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
