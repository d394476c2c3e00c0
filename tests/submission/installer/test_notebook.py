"""install.py pasted into a notebook's cell, or at the top of another script, and the kernel afterwards."""

import ast
import json

import nbformat
import pytest

from tests.submission.installer.conftest import OWN

CELL = """
import builtins, json, os, subprocess, sys
builtins.get_ipython = lambda: None  # what tells a notebook's kernel
sys.argv = ["kernel.py", "-f", "connection.json"]  # of the kernel, and no option of the cell
text = open({script!r}).read()
text = text.replace("/kaggle/input", {root!r})
namespace = {{"__name__": "__main__"}}


def cell():
    exec(text, namespace)


def told(**values):
    print("TOLD" + json.dumps(values))
"""


@pytest.fixture
def kernel(python, bundle, offline, tmp_path):
    """Run code after a cell's definition, in a process like a kernel; returns what `told` told."""

    def run(code, root, script=None, **variables):
        program = tmp_path / "kernel.py"
        program.write_text(CELL.format(script=str(script or bundle / "install.py"), root=str(root)) + code)
        done = offline(python(OWN), program, **variables)
        lines = [line for line in done.out.splitlines() if line.startswith("TOLD")]
        values = json.loads(lines[-1].removeprefix("TOLD")) if lines else {}
        return done, values

    return run


def test_after_the_cell_the_kernel_and_its_children_import_the_packages(kernel, mounted):
    done, told = kernel(
        """
before = set(sys.modules)
hooks = (list(sys.meta_path), list(sys.path_hooks), sys.excepthook)
cell()
import tool
show = [sys.executable, "-c", "import tool; print(tool.VALUE)"]
child = subprocess.run(show, capture_output=True, text=True)
told(
    value=tool.VALUE,
    child=child.stdout,
    left=sorted(set(namespace) - {"__builtins__", "__name__", "__doc__", "__annotations__"}),
    ours=sorted(name for name in sys.modules if name.partition(".")[0] in ("kit", "submission")),
    same=hooks == (list(sys.meta_path), list(sys.path_hooks), sys.excepthook),
    argv=sys.argv[0],
)
""",
        mounted(archives="packed"),
    )
    assert done.code == 0, done.out + done.err
    assert told == {"value": 7, "child": "7\n", "left": [], "ours": [], "same": True, "argv": "kernel.py"}
    assert "export PYTHONPATH" not in done.out, "that is for a shell"


def test_the_cell_may_run_twice_and_after_a_restart(kernel, mounted):
    done, told = kernel(
        """
cell()
first = list(sys.path)
cell()
told(same=sys.path == first, python_path=os.environ["PYTHONPATH"].count("tiny-wheels"))
""",
        mounted(),
    )
    assert told == {"same": True, "python_path": 1}, done.out + done.err
    assert done.out.count("a former run has installed it all") == 1
    done, _ = kernel("cell()\nimport tool\n", mounted(root=mounted().parent / "again"))
    assert done.code == 0, done.err
    assert "a former run has installed it all" in done.out


def test_users_modules_that_are_named_like_ours_stay_theirs(kernel, mounted, tmp_path):
    (tmp_path / "kit.py").write_text("NAME = 'of the user'\n")
    (tmp_path / "submission.py").write_text("NAME = 'of the user'\n")
    done, told = kernel(
        """
import kit
cell()
import submission
told(kit=kit.NAME, again=sys.modules["kit"] is kit, submission=submission.NAME)
""",
        mounted(),
    )
    assert told == {"kit": "of the user", "again": True, "submission": "of the user"}, done.out + done.err


def test_a_module_that_was_imported_before_it_was_shadowed_asks_for_a_restart(kernel, mounted, tmp_path):
    image = tmp_path / "image"
    (image / "tool-1.9.dist-info").mkdir(parents=True)
    (image / "tool-1.9.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tool\nVersion: 1.9\n"
    )
    (image / "tool.py").write_text("VALUE = 'of the image'\n")
    done, told = kernel(
        f"""
sys.path.append({str(image)!r})
import tool
cell()
told(value=tool.VALUE)
""",
        mounted(),
    )
    assert done.code == 0, done.out + done.err
    assert "RESTART     tool had been imported before" in done.out
    assert told == {"value": "of the image"}


def test_a_missing_dataset_is_an_exception_of_one_message(kernel, tmp_path):
    (tmp_path / "input").mkdir()
    done, told = kernel(
        """
try:
    cell()
except Exception as error:
    path = [entry for entry in sys.path if "tiny" in entry]
    told(kind=type(error).__name__, text=error._render_traceback_(), path=path)
""",
        tmp_path / "input",
    )
    assert told["kind"] == "InstallationError", done.out + done.err
    assert told["text"][0].startswith("error: the dataset tiny-wheels is not attached")
    assert "Add Input > Datasets > tiny-wheels" in told["text"][0]
    assert told["path"] == []


def test_pasted_into_a_script_it_takes_none_of_its_arguments_and_lets_it_go_on(
    python, bundle, mounted, offline, tmp_path
):
    text = (bundle / "install.py").read_text().replace("/kaggle/input", str(mounted()))
    script = tmp_path / "script.py"
    script.write_text(text + "\nimport sys, tool\nprint(tool.VALUE, sys.argv[1:])\n")
    done = offline(python(OWN), script, "--input", "of my own", "--epochs", "3")
    assert done.code == 0, done.out + done.err
    assert done.out.endswith("7 ['--input', 'of my own', '--epochs', '3']\n")
    script.write_text(text.replace(str(mounted()), "/nowhere") + "\nprint('went on')\n")
    done = offline(python(OWN), script, TMPDIR=str(tmp_path))
    assert done.code == 2
    assert "went on" not in done.out
    assert "Traceback" not in done.err


def test_the_notebook_holds_the_script_and_shows_what_is_imported(bundle):
    notebook = nbformat.read(bundle / "install.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[1].source == (bundle / "install.py").read_text()
    ast.parse(notebook.cells[2].source)
    assert "['compiled', 'tool']" in notebook.cells[2].source
