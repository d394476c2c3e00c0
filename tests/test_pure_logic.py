"""What counts as pure logic, and that pyproject.toml says of exceptions only what holds."""

import subprocess
import sys

import pytest

from tests import pure_logic
from tests.pure_logic import has_branch, impure, measured, mirrored, pure, settings, sources

ROOT = pure_logic.ROOT


@pytest.fixture(scope="module")
def why():
    """Why files of this checkout are not pure."""
    return impure(sources())


def reasons(tmp_path, **texts):
    files = {}
    for name, text in texts.items():
        files[name.replace("__", ".")] = path = tmp_path / f"{name}.py"
        path.write_text(text)
    return impure(files)


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nfrom pathlib import Path\ndef f(path: Path): return path.parent / 'a'\n",
        "import ast\ndef f(tree): return [*ast.walk(tree)]\n",
        "from datetime import date\ndef f(text): return date.fromisoformat(text)\n",
        "def f(clock): return clock.now()\n",
        "def f(text): return text.replace('a', 'b')\n",
    ],
)
def test_a_file_that_computes_is_pure(tmp_path, text):
    assert reasons(tmp_path, kit__a=text) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import os\n", "imports os"),
        ("def f():\n    import subprocess\n", "imports subprocess"),
        ("from concurrent.futures import Future\n", "imports concurrent.futures"),
        ("import torch\n", "imports torch"),
        ("def f(path): return path.read_text()\n", "calls .read_text"),
        ("def f(path): return any(p.is_file() for p in path.parents)\n", "calls .is_file"),
        ("def f(): return open('a')\n", "calls open"),
        ("def f(): print('a')\n", "calls print"),
        ("import datetime\ndef f(): return datetime.datetime.now()\n", "calls .now"),
        ("from datetime import date\ndef f(): return date.today()\n", "calls .today"),
        ("import cv2\ndef f(name): return cv2.imread(name)\n", "calls .imread"),
    ],
)
def test_a_file_that_touches_the_world_is_not_pure(tmp_path, text, reason):
    assert reasons(tmp_path, kit__a=text) == {"kit.a": reason}


def test_functions_of_impure_files_make_impure_but_types_do_not(tmp_path):
    found = reasons(
        tmp_path,
        kit__disk="import os\nLIMIT = 1\nclass Place: pass\ndef read(): return os.getcwd()\n",
        kit__typed="from kit.disk import LIMIT, Place\n",
        kit__reads="from kit.disk import Place, read\ndef load(): return read()\n",
        kit__whole="from kit import disk\n",
        kit__dotted="import kit.disk\n",
        kit__through="def f():\n    from kit.reads import load\n    return load()\n",
    )
    assert found == {
        "kit.disk": "imports os",
        "kit.reads": "takes kit.disk.read",
        "kit.whole": "takes kit.disk",
        "kit.dotted": "takes kit.disk",
        "kit.through": "takes kit.reads.load",
    }


@pytest.mark.parametrize(
    ("text", "branch"),
    [
        ("X = 1\n", False),
        ("def f(a): return a if a else 1\n", False),
        ("def f(a): return [b for b in a if b]\n", False),
        ("def f(a):\n    if a:\n        return 1\n    return 2\n", True),
        ("def f(a):\n    for b in a:\n        b()\n", True),
    ],
)
def test_a_branch_is_one_that_coverage_counts(tmp_path, text, branch):
    (tmp_path / "a.py").write_text(text)
    assert has_branch(tmp_path / "a.py") is branch


@pytest.mark.parametrize(
    ("name", "is_pure"),
    [
        ("kit.masks.rle", True),
        ("kit.inference.tiles", True),
        ("kit.inference.mask_fusion", True),
        ("kit.plan.state", True),
        ("kit.plan.virtual_run", True),
        ("kit.competitions.rules", True),
        ("kit.artefacts", False),
        ("kit.images.slide", False),
        ("submission.runtime.work.supervisor", False),
    ],
)
def test_the_rules_draw_the_line_where_the_project_sees_it(name, is_pure, why):
    assert (name not in why) is is_pure


def test_the_planner_is_pure(why):
    """docs/architecture.md says so: it knows no clock, file or process."""
    assert not [name for name in why if name.startswith("kit.plan")]


def test_every_exception_is_one_and_has_a_reason():
    found, chosen = set(pure()), settings()
    for path, reason in {**chosen.also, **chosen.left_out}.items():
        assert (ROOT / path).is_file(), f"pyproject.toml names {path}, which is no file"
        assert len(reason.split()) > 3, f"pyproject.toml gives no reason for {path}"
    stale = [path for path in chosen.also if path in found]
    assert not stale, "these are pure by the rules and need no mention in [tool.pure-logic.also]"
    wrong = [path for path in chosen.left_out if path not in found]
    assert not wrong, "these are not pure by the rules and need no mention in [tool.pure-logic.left-out]"


def test_every_file_is_measured_by_tests_that_exist():
    chosen = pure_logic.takers()
    assert [path for path in chosen if not (ROOT / path).exists()] == []
    more = settings().tests
    assert len(set(more)) == len(more)
    own = {mirrored(path) for path in measured()}
    assert not own & set(more), "these mirror a file that is measured and need no mention"


def test_the_command_prints_the_list_and_the_reasons():
    def printed(*arguments):
        command = [sys.executable, "-m", "tests.pure_logic", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert printed() == measured()
    assert "kit.artefacts: imports glob" in printed("--why")
