"""The form of predict.py, run in real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from submission.runtime.script.importer import LEFT_OUT, EmbeddedFinder
from submission.runtime.script.script import Script
from submission.runtime.script.text import part_text, script_text
from submission.shortening import shortened

ROOT = Path(__file__).parents[4]
FAULTY = '''"""A module whose fault is on line 7."""


def outer(x):
    return inner(x)

def inner(x): return 1 / x  # here
'''
DOCUMENTED = '''"""A module with docstrings that the renderer shortens.

Their other paragraphs leave predict.py.
"""

DIVISOR = 0


class Area:
    """An area of pixels.

    Attributes:
        pixels: number of them.
    """

    def __init__(self, pixels):
        self.pixels = pixels

    def share(self):
        """Return a share.

        Raises:
            ZeroDivisionError: always.
        """
        # This sentence stays. Of the
        # others the lines stay.
        return self.pixels / DIVISOR
'''
MAIN = """import sys
from pathlib import Path
from kit.faulty import outer

def main(script, argv):
    if argv[:1] == ["--fail"]:
        outer(0)
    if argv[:1] == ["--rewrite"]:
        print(script.as_file(Path(argv[1])))
    print("args", argv, "doc", script.header)
    return 3
"""


@pytest.fixture
def script(tmp_path) -> Path:
    runtime = {
        f"submission/runtime/{name}.py": (ROOT / f"submission/runtime/{name}.py").read_text()
        for name in (
            "script/importer",
            "script/process",
            "script/text",
            "script/script",
            "script/__init__",
            "__init__",
        )
    }
    parts = {
        "kit/__init__.py": "",
        "kit/faulty.py": FAULTY,
        "submission/__init__.py": "",
        **runtime,
        "submission/runtime/main.py": MAIN,
        "data.json": '{"backslash": "a\\\\nb"}\n',
    }
    path = tmp_path / "dist" / "predict.py"
    path.parent.mkdir()
    path.write_text(script_text("A header\nin two lines", parts))
    return path


def run(*command, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=cwd, input=text, capture_output=True, text=True, check=False
    )


def test_it_runs_and_hands_over_arguments_and_exit_code(script, tmp_path):
    done = run(script, "--a", "b", cwd=tmp_path)
    assert done.stdout == "args ['--a', 'b'] doc A header\nin two lines\n"
    assert done.returncode == 3


def test_an_uncaught_error_shows_original_file_line_and_source(script, tmp_path):
    done = run(script, "--fail", cwd=tmp_path)
    assert 'File "kit/faulty.py", line 5, in outer\n    return inner(x)' in done.stderr
    assert 'File "kit/faulty.py", line 7, in inner\n    def inner(x): return 1 / x  # here' in done.stderr
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


def test_an_error_below_shortened_docstrings_shows_the_original_line_and_source(script, tmp_path):
    short = shortened(DOCUMENTED)
    assert len(LEFT_OUT.findall(short)) == 3
    main = """from kit.documented import Area

def main(script, argv):
    Area(5).share()
"""
    space = {"__name__": "not main"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    parts = {path: part_text(part) for path, part in space["PARTS"].items()}
    parts |= {"kit/documented.py": short, "submission/runtime/main.py": main}
    script.write_text(script_text("A header", parts))
    done = run(script, cwd=tmp_path)
    failing = "        return self.pixels / DIVISOR"
    number = DOCUMENTED.splitlines().index(failing) + 1
    assert number != short.splitlines().index("    return self.pixels / DIVISOR") + 1
    assert f'File "kit/documented.py", line {number}, in share\n    {failing.strip()}\n' in done.stderr
    assert done.stderr.rstrip().endswith("ZeroDivisionError: division by zero")


def test_a_file_of_the_same_name_in_the_working_directory_does_not_confuse_tracebacks(script, tmp_path):
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "faulty.py").write_text("# something else\n" * 20)
    done = run(script, "--fail", cwd=tmp_path)
    assert "def inner(x): return 1 / x  # here" in done.stderr
    assert "something else" not in done.stderr


def test_it_prefers_its_own_modules_to_those_beside_it(script, tmp_path):
    (script.parent / "kit").mkdir()
    (script.parent / "kit" / "__init__.py").write_text("raise RuntimeError('the wrong kit')\n")
    assert run(script, cwd=tmp_path).returncode == 3


def test_piped_into_python_it_writes_itself_anew_byte_for_byte(script, tmp_path):
    (tmp_path / "scratch").mkdir()
    done = run("-", "--rewrite", tmp_path / "scratch", cwd=tmp_path, text=script.read_text())
    written = Path(done.stdout.splitlines()[0])
    assert written == tmp_path / "scratch" / "predict.py"
    assert written.read_bytes() == script.read_bytes()


def test_executed_by_another_script_it_writes_itself_anew_too(script, tmp_path):
    (tmp_path / "scratch").mkdir()
    other = tmp_path / "other.py"
    other.write_text(f"exec(open({str(script)!r}).read())\n")
    done = run(other, "--rewrite", tmp_path / "scratch", cwd=tmp_path)
    assert (tmp_path / "scratch" / "predict.py").read_bytes() == script.read_bytes(), done.stderr


def test_as_a_file_it_starts_its_workers_from_itself(script, tmp_path):
    script.parent.chmod(0o555)
    done = run(script, "--rewrite", tmp_path, cwd=tmp_path)
    script.parent.chmod(0o755)
    assert done.stdout.splitlines()[0] == str(script)


def test_in_a_notebook_cell_the_kernels_arguments_are_not_ours(script, tmp_path):
    cell = tmp_path / "kernel.py"
    cell.write_text(
        "import builtins, sys\nbuiltins.get_ipython = lambda: None\n"
        "sys.argv = ['ipykernel_launcher.py', '-f', 'kernel.json']\ndel __file__\n"
        f"exec(open({str(script)!r}).read())\n"
    )
    done = run(cell, cwd=tmp_path)
    assert "args [] doc" in done.stdout
    assert done.returncode == 3, "a failure fails the cell"


def test_parts_keep_their_text(script):
    space = {"__name__": "not main"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    assert part_text(space["PARTS"]["kit/faulty.py"]) == FAULTY
    assert part_text(space["PARTS"]["data.json"]) == '{"backslash": "a\\\\nb"}\n'


def test_the_finder_leaves_other_modules_alone():
    finder = EmbeddedFinder({"kit/a.py": "\nx = 1\n", "kit/b/__init__.py": "\n", "data.json": "\n{}"})
    assert finder.find_spec("numpy") is None
    assert finder.find_spec("data") is None
    assert finder.find_spec("kit.a").origin == "kit/a.py"


def test_a_registry_finds_the_embedded_modules_of_a_folder_and_no_others(script, tmp_path):
    main = """import importlib, pkgutil
import kit, kit.deep

def main(script, argv):
    print([(item.name, item.ispkg) for item in pkgutil.iter_modules(kit.__path__, "kit.")])
    print([item.name for item in pkgutil.iter_modules(kit.deep.__path__)])
    try:
        importlib.import_module("kit.deep.three")
    except ModuleNotFoundError as error:
        print(error)
    return 3
"""
    space = {"__name__": "not main"}
    exec(compile(script.read_text(), str(script), "exec"), space)
    parts = {path: part_text(part) for path, part in space["PARTS"].items()}
    parts |= {f"kit/deep/{name}.py": "" for name in ("__init__", "one", "two")}
    script.write_text(script_text("A header", {**parts, "submission/runtime/main.py": main}))
    (tmp_path / "predict.py" / "kit").mkdir(parents=True)
    (tmp_path / "predict.py" / "kit" / "of_the_working_directory.py").touch()
    assert run(script, cwd=tmp_path).stdout.splitlines() == [
        "[('kit.deep', True), ('kit.faulty', False)]",
        "['one', 'two']",
        "No module named 'kit.deep.three'",
    ]


def test_a_script_that_was_edited_is_not_taken_for_itself(tmp_path):
    path = tmp_path / "predict.py"
    path.write_text("something else")
    script = Script("header", {"a.py": "x = 1\n"}, str(path))
    (tmp_path / "scratch").mkdir()
    assert script.as_file(tmp_path / "scratch") == tmp_path / "scratch" / "predict.py"
