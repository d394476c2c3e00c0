"""What all tests share: hypothesis takes the time it needs, timing is never asserted."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from kit.local import garbage
from tests.order import slow_ones_first

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Undo what whoever started the tests left for them: children would inherit it."""
    os.environ.pop("KIT_TYPED", None)  # `nox -s tests` says how it was called, for commands after Ctrl-C
    # `nox -s coverage` measures the processes that run tests, and not those that tests start.
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    # A shell starts what runs behind it with SIGINT ignored.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    garbage.look_seldom()  # in tests of thousands of objects that stay, looking took a quarter of the time


def pytest_collection_finish() -> None:
    """Tests and what they import stay until the end."""
    garbage.look_no_more()


def pytest_runtest_setup() -> None:
    """A training that ran here has changed it."""
    garbage.look_seldom()


def pytest_sessionfinish() -> None:
    """Keep what `nox -s coverage` measured here: on a busy machine xdist kills a process before its end."""
    measuring = sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None
    if measuring is not None and "PYTEST_XDIST_WORKER" in os.environ:
        measuring.stop()
        measuring.save()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes, in each process with some of them."""
    items[:] = slow_ones_first(
        items,
        int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
        is_slow=lambda item: item.get_closest_marker("slow") is not None,
        group=_group,
    )


def _group(item: pytest.Item) -> object:
    """Tests of one file share what they set up, and those of several files what their marker names."""
    shared = item.get_closest_marker("shares")
    return shared.args[0] if shared else item.path


_SHIM = Path(__file__).parent / "tests" / "mounts" / "difficult_mount.c"


@pytest.fixture(scope="session")
def difficult_mount(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Return the environment in which a process finds a folder to be a difficult mount (see the C file)."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("this machine has no C compiler")
    library = tmp_path_factory.mktemp("mount") / "difficult_mount.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SHIM, "-ldl"], check=True)

    def environment(folder: Path, **settings: int) -> dict[str, str]:
        named = {f"MOUNT_{name.upper()}": str(value) for name, value in settings.items()}
        return {**os.environ, "LD_PRELOAD": str(library), "MOUNT_FOLDER": str(folder), **named}

    return environment
