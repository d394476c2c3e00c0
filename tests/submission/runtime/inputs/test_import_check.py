"""Import checks of made-up packages that fail in every way, each in a real process."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from kit.manifest import Entry, Wheel
from submission.imports import imported
from submission.runtime.inputs import import_check, patience
from submission.runtime.inputs.import_check import Failure, ImportCheck, Result
from submission.runtime.inputs.verdict import judge
from submission.runtime.inputs.wheels import Choice

ROOT = str(next(path for path in map(os.path.abspath, sys.path) if Path(path, "submission").is_dir()))


@pytest.fixture
def try_out(tmp_path):
    """Try what a text imports, in an image that has some packages: name -> text of its __init__.py."""

    def run(text: str, work: float = 600.0, reached: Path | None = None, **packages: str):
        site = tmp_path / "lib" / "site-packages"
        for name, code in packages.items():
            (site / name).mkdir(parents=True)
            (site / name / "__init__.py").write_text(textwrap.dedent(code))
        code = (
            "import sys; from pathlib import Path\n"
            "from submission.runtime.inputs.import_check import try_imports\n"
            f"try_imports({imported({'a.py': text})}, Path(sys.argv[1]))"
        )
        environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
        check = ImportCheck([sys.executable, "-c", code], environment, tmp_path / "imports.jsonl")
        while reached is not None and not reached.exists():
            time.sleep(0.01)
        return check.result(work)

    return run


def test_a_good_image_has_no_failures_and_tells_versions(try_out):
    result = try_out("import good; good.f; from good.inner import g", good="__version__ = '1.2'; f = 1")
    assert [failure.module for failure in result.failures] == ["good.inner"]
    assert result.versions["good"] == "1.2"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "ImportError: libGL.so.1"),
        ("raise ValueError('numpy.dtype size changed')", "ValueError: numpy.dtype size changed"),
        ("import absent_module", "ModuleNotFoundError: No module named 'absent_module'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import ctypes; ctypes.string_at(0)", "it crashes the interpreter (SIGSEGV)"),
        ("import os; os.abort()", "it crashes the interpreter (SIGABRT)"),
    ],
)
def test_an_inner_package_that_fails_is_blamed_before_the_one_that_imports_it(try_out, code, problem):
    result = try_out("import outer\nimport other", outer="import inner", inner=code, other="")
    failure = result.failures[0]
    assert failure.module == "outer"
    assert failure.problem.startswith(problem)
    blamed = [name for name in failure.blamed if name != "absent_module"]
    assert blamed == ["inner", "outer"]
    assert not failure.hung


@pytest.mark.parametrize(
    ("code", "number"),
    [("import os; os._exit(0)", 0), ("import ctypes; ctypes.PyDLL(None).exit(2)", 2)],
    ids=["Python", "C"],
)
def test_an_inner_package_that_ends_the_interpreter_is_blamed(try_out, code, number):
    (failure,) = try_out("import outer", outer="import inner", inner=code).failures
    assert failure.problem == f"it ends the interpreter (exit code {number})"
    assert failure.blamed[:2] == ["inner", "outer"]


def test_what_a_startup_hook_puts_among_the_modules_is_no_fault_of_the_last_import(try_out):
    hook = "import sys; sys.modules.update(tensorflow=None, jax=object())"
    result = try_out("import good", sitecustomize=hook, good="__version__ = '1.2'")
    assert (result.failures, result.versions["good"]) == ([], "1.2")


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "while True: pass"])
def test_an_import_that_hangs_is_named(try_out, monkeypatch, tmp_path, code):
    monkeypatch.setattr(patience, "STUCK", 1.0)
    monkeypatch.setattr(import_check, "_PATIENCE", 600.0)
    reached = tmp_path / "reached"
    code = f"open({str(reached)!r}, 'x').close()\n{code}"
    result = try_out("import outer", work=2.0, reached=reached, outer="import inner", inner=code)
    (failure,) = result.failures
    assert (failure.module, failure.blamed, failure.hung) == ("outer", ["inner", "outer"], True)


def test_a_name_that_is_missing_is_noticed(try_out):
    result = try_out("import old\nold.resize\nfrom old import Thing", old="")
    assert [failure.blamed[0] for failure in result.failures] == ["old"]


def test_a_submodule_counts_as_a_name(try_out, tmp_path):
    inner = tmp_path / "lib" / "site-packages" / "good"
    inner.mkdir(parents=True)
    (inner / "parts.py").touch()
    (inner / "__init__.py").touch()
    assert try_out("from good import parts").failures == []


def test_what_a_library_prints_and_half_lines_do_no_harm(try_out):
    result = try_out("import loud", loud="import os; print('{\"failure\": 1}'); os.write(1, b'x')")
    assert (result.failures, result.problem) == ([], None)


def test_a_process_that_memory_runs_out_for_says_nothing_about_packages(try_out):
    result = try_out("import big", big="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert result.failures == []
    assert "code -9" in result.problem


def test_a_process_that_does_not_start_is_told(tmp_path):
    check = ImportCheck([str(tmp_path / "absent")], {}, tmp_path / "imports.jsonl")
    assert "No such file" in check.result(1.0).problem


def choice(name: str, installed: str | None = "1.0", *, ours: bool = False) -> Choice:
    wheel = Wheel(name=name, version="2.0", tags=[], licence="", accepts="", requires={})
    entry = Entry(file=f"{name}.whl", size=1, sha256="0" * 64, role="wheel", wheel=wheel) if ours else None
    return Choice(name, installed, entry, "")


def failed(*blamed: str, hung: bool = False) -> Result:
    return Result([Failure("timm", "ImportError: x", [*blamed], hung)])


def test_the_innermost_package_that_the_bundle_has_is_replaced():
    choices = [choice("pyyaml"), choice("timm"), choice("torch")]
    both = {"pyyaml": "", "timm": ""}
    assert set(judge(failed("yaml", "timm"), choices, both).distrusted) == {"pyyaml"}
    assert set(judge(failed("yaml", "timm"), choices, {"timm": ""}).distrusted) == {"timm"}
    assert set(judge(failed("unknown", "torch", "timm"), choices, both).distrusted) == {"timm"}


def test_what_nothing_can_replace_is_lost_with_its_reason():
    verdict = judge(failed("yaml", "timm"), [choice("pyyaml"), choice("timm")], {})
    assert "the image's pyyaml 1.0 fails: yaml cannot be imported: ImportError: x" in str(
        verdict.lost["pyyaml"]
    )
    verdict = judge(failed("yaml", "timm"), [choice("pyyaml", ours=True)], {"pyyaml": ""})
    assert "the bundle's pyyaml.whl does not work in this image" in str(verdict.lost["pyyaml"])


def test_torch_and_what_hangs_cost_no_member():
    for result in (failed("torch"), failed("yaml", hung=True), failed("nobody")):
        verdict = judge(result, [choice("torch"), choice("pyyaml")], {})
        assert (verdict.lost, verdict.distrusted, len(verdict.notes)) == ({}, {}, 1)


@pytest.mark.parametrize(
    ("installed", "version", "accepted", "replaced"),
    [
        ("1.0.31", "0.4.12", "==1.0.31", True),
        ("4.9.0.80", "4.9.0", "==4.9.0.80", False),
        ("1.0.31", "1.0.31", "==1.0.31", False),
        ("1.0.31", "0.4.12", "", False),
        ("1.0.31", "unknown", "==1.0.31", False),
        ("2.0+cu128", "2.0", ">=2.0", False),
    ],
)
def test_files_of_another_version_than_their_metadata(installed, version, accepted, replaced):
    verdict = judge(Result(versions={"timm": version}), [choice("timm", installed)], {"timm": accepted})
    assert set(verdict.distrusted) == ({"timm"} if replaced else set())


def test_it_ends_with_the_process_that_started_it_however_that_ends(tmp_path):
    """The check hangs in an import; its starter gets SIGKILL, which it can tell nobody of."""
    site = tmp_path / "lib"
    site.mkdir()
    (site / "endless.py").write_text("import time\nopen('pid', 'w').write('')\ntime.sleep(600)")
    code = (
        "import sys; from pathlib import Path\n"
        "from submission.runtime.inputs.import_check import try_imports\n"
        "try_imports({'endless': []}, Path(sys.argv[1]))"
    )
    starter = (
        "import os, sys, time; from pathlib import Path\n"
        "from submission.runtime.inputs.import_check import ImportCheck\n"
        f"check = ImportCheck([sys.executable, '-c', {code!r}], os.environ, Path('imports.jsonl'))\n"
        "while not Path('pid').exists(): time.sleep(0.01)\n"
        "print(check.process.pid, flush=True)\n"
        "time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-c", starter], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        pid = int(process.stdout.readline())
        process.kill()
    end = time.monotonic() + 60
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
