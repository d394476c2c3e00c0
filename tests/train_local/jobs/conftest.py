import signal
import sys
import time
from pathlib import Path

import pytest

from train_local.jobs.job import Job, Need, Resources

SCRIPT = Path(__file__).with_name("job_process.py")


@pytest.fixture(autouse=True, scope="session")
def interrupts():
    """Hear SIGINT, as children then do: below `nohup` or in a script's background it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_jobs(tmp_path):
    """Jobs by name from {name: (what it does, names of those it needs)}; see job_process.py."""

    def make(plan, **resources):
        jobs = {}
        for name, (what, needs) in plan.items():
            folder, identity = tmp_path / "k" / name, f"identity of {name}"
            jobs[f"k/{name}"] = Job(
                kind="train",
                name=f"k/{name}",
                competition="k",
                identity=identity,
                uses=tuple(Need(f"k/{need}", "best") for need in needs),
                command=(sys.executable, str(SCRIPT), str(folder), identity, what),
                folder=folder,
                resources=Resources(**resources),
                config={"recipe": {"name": name}},
            )
        return jobs

    return make


@pytest.fixture
def wait_for():
    """Wait until something is true; a test fails after ten minutes, which a busy machine does not need."""

    def wait(condition):
        for _ in range(30_000):
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError("it did not happen in ten minutes")

    return wait
