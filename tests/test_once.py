import subprocess
import sys
from pathlib import Path

import pytest

from tests.once import once

ROOT = Path(__file__).parents[1]
TESTS = """
from pathlib import Path

import pytest

from tests.once import once


@pytest.mark.parametrize("number", range(6))
def test_it(tmp_path_factory, number):
    def make(folder):
        assert not list(folder.iterdir())
        with Path("made").open("a") as file:
            file.write("made")
        (folder / "file").write_text("there")

    assert (once(tmp_path_factory, "thing", make) / "file").read_text() == "there"
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["one process", "two processes"])
def test_it_is_made_once_for_all_processes(tmp_path, options):
    (tmp_path / "test_things.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path]
    command += ["-c", "/dev/null", "-o", f"pythonpath={ROOT}", "--basetemp", tmp_path / "base", *options]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "made").read_text() == "made"


def test_what_could_not_be_made_is_not_taken_for_made(tmp_path_factory):
    def fail(folder):
        (folder / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        once(tmp_path_factory, "broken-thing", fail)
    with pytest.raises(FileExistsError):
        once(tmp_path_factory, "broken-thing", fail)
