"""The rules of the house that a reviewer should not have to check by eye."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from submission.modules import LOCAL
from submission.modules import PACKAGES as EMBEDDABLE
from tests import import_graph

ROOT = Path(__file__).parents[1]
PACKAGES = ("kit", "bundle", "submission", "train_local", "benchmarks", "documents")
OURS = {*PACKAGES, "tests"}
ALLOWED = {
    "kit": {"kit"},
    "bundle": {"bundle", "kit"},
    "submission": {"submission", "kit"},
    "train_local": {"train_local", "kit"},
    "benchmarks": {"benchmarks", "kit", "submission", "train_local", "bundle"},
    "documents": {"documents", "kit", "submission", "train_local", "bundle"},
}
OWN = ("cbnetv2", "vit_adapter")
IMPORTED_AS = {"mmcv-full": "mmcv"}


def tracked(pattern):
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern],
                         cwd=ROOT, capture_output=True, check=True, text=True).stdout  # fmt: skip
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]


def sources(package):
    return [path for path in tracked(f"{package}/**.py") if path.parts[-1].endswith(".py")]


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]


def forbidden_imports(path, package):
    """Packages of the project, `tests` among them, that a file of a package imports but may not import."""
    return (set(imported_packages(path)) & OURS) - ALLOWED[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_kit_and_themselves_only_and_benchmarks_no_tests(package):
    found = sources(package)
    assert found
    for path in found:
        foreign = forbidden_imports(path, package)
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


@pytest.mark.parametrize(
    ("package", "statement", "foreign"),
    [
        ("benchmarks", "from tests.kit.models.probing import settled", {"tests"}),
        ("benchmarks", "from submission import render", set()),
        ("train_local", "import benchmarks.machine", {"benchmarks"}),
        ("kit", "from tests import golden", {"tests"}),
        ("kit", "from bundle import wheel", {"bundle"}),
    ],
)
def test_a_forbidden_import_is_found_wherever_it_stands(tmp_path, package, statement, foreign):
    path = tmp_path / "module.py"
    path.write_text(f"def run():\n    {statement}\n")
    assert forbidden_imports(path, package) == foreign


def below(name, package):
    return name == package or name.startswith(package + ".")


def imports_of_local_code(graph):
    """(module, what it imports of kit.local) for each module that may be embedded in predict.py."""
    return {
        (name, other)
        for name, imported in graph.items()
        if any(below(name, package) for package in EMBEDDABLE)
        and not below(name, LOCAL)
        and not name.endswith(".__main__")
        for other in imported
        if below(other, LOCAL)
    }


def test_no_module_that_may_reach_kaggle_imports_local_code():
    graph = import_graph.read(import_graph.sources())
    assert any(below(other, LOCAL) for imported in graph.values() for other in imported)
    assert imports_of_local_code(graph) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "import kit.local.console",
        "from kit.local import console",
        "importlib.import_module('kit.local.console')",
    ],
)
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("kit.masks", True),
        ("submission.runtime.main", True),
        ("kit.local.estimate", False),
        ("kit.__main__", False),
        ("submission.render", False),
    ],
)
def test_an_import_of_local_code_is_found_wherever_it_stands(tmp_path, statement, name, found):
    files = {"kit.local.console": tmp_path / "console.py", name: tmp_path / "module.py"}
    files["kit.local.console"].write_text("import rich\n")
    files[name].write_text(f"def run():\n    {statement}\n")
    wrong = {(name, "kit.local.console")} if found else set()
    assert imports_of_local_code(import_graph.read(files)) == wrong


def declared(own):
    """What a package of our own may import: what its pyproject asks for, and in addition on request."""
    project = tomllib.loads((ROOT / "bundle" / "packages" / own / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    names = [Requirement(item).name for item in [*project["dependencies"], *(i for e in extras for i in e)]]
    return {IMPORTED_AS.get(name, name) for name in names}


@pytest.mark.parametrize("own", OWN)
def test_our_network_packages_import_what_they_declare_and_nothing_of_the_project(own):
    allowed = declared(own)
    assert not allowed & {"timm", "apex", "einops", *OURS}
    found = sources(f"bundle/packages/{own}/src")
    assert found
    for path in found:
        foreign = set(imported_packages(path)) - allowed - {own} - sys.stdlib_module_names
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


IMPORT_ALONE = """
import sys, warnings

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"kit", "bundle", "train_local", "submission", "timm", "apex", "einops"}:
            raise AssertionError(f"{name} was asked for")

sys.meta_path.insert(0, Refusal())
warnings.simplefilter("ignore")  # mmcv announces its successor
import cbnetv2, vit_adapter
"""


def test_our_network_packages_reach_nothing_else_at_run_time():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALONE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_lint_looks_at_every_file():
    """A folder of outputs and a room of the runtime were both called "work", and lint left out both."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "."],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    seen = {Path(line) for line in done.stdout.splitlines()}
    missing = [path.relative_to(ROOT) for path in tracked("*.py") if path not in seen]
    assert not missing


def test_files_stay_small_enough_to_read():
    lengths = {path: len(path.read_text().splitlines()) for path in tracked("*.py")}
    too_long = {str(path.relative_to(ROOT)): count for path, count in lengths.items() if count > 500}
    assert not too_long
    assert statistics.median(count for count in lengths.values() if count) < 200


def test_what_reaches_kaggle_can_be_embedded():
    for path in [*sources("kit"), *sources("submission/runtime")]:
        text = path.read_text()
        assert "'" * 3 not in text, (
            f"{path.relative_to(ROOT)}: the renderer quotes sources with three single quotes"
        )
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        assert "__file__" not in names, f"{path.relative_to(ROOT)} depends on its own place"


def run_at_import(node):
    """Yield what runs when a module is imported: class bodies, defaults, decorators; no function bodies."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*child.decorator_list, child.args):
                yield part
                yield from run_at_import(part)
            continue
        yield child
        yield from run_at_import(child)


def environment_reads(text):
    return [
        part
        for part in run_at_import(ast.parse(text))
        if (isinstance(part, ast.Attribute) and part.attr in {"environ", "getenv"})
        or (isinstance(part, ast.alias) and part.name in {"environ", "getenv"})
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("import os\nX = os.environ\n", 1),
        ("from os import environ\n", 1),
        ("class A:\n    x = os.getenv('X')\n", 1),
        ("def f(x=os.environ): pass\n", 1),
        ("def f():\n    return os.environ\n", 0),
        ("class A:\n    def f(self):\n        return os.environ\n", 0),
    ],
)
def test_a_read_of_the_environment_at_import_is_found(text, count):
    assert len(environment_reads(text)) == count


def test_no_module_reads_the_environment_when_imported():
    for package in PACKAGES:
        for path in sources(package):
            assert not environment_reads(path.read_text()), path.relative_to(ROOT)


def test_classes_stay_small_enough_to_read():
    for package in PACKAGES:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    lines = node.end_lineno - node.lineno + 1
                    assert lines <= 200, f"{path.relative_to(ROOT)}: class {node.name} has {lines} lines"


def test_no_call_that_makes_a_private_dataset_public_is_used():
    for package in PACKAGES:
        for path in sources(package):
            words = (
                "UpdateDataset" + "Metadata",
                "dataset_metadata_" + "update",
                "update_dataset_" + "metadata",
            )
            assert not [word for word in words if word in path.read_text()], path.relative_to(ROOT)


def test_no_machine_path_or_registry_host_is_committed():
    for path in tracked("*"):
        if (
            path.suffix not in {".py", ".md", ".toml", ".txt", ".json", ".in", ".lock", ""}
            or path.name == "LICENSE"
        ):
            continue
        text = path.read_text(errors="ignore")
        for forbidden in (
            "/ro" + "ot/",
            "/wo" + "rk/main",
            "/opt/" + "dev",
            "pypi." + "org/simple",
            "files.python" + "hosted",
        ):
            assert forbidden not in text, f"{path.relative_to(ROOT)} holds {forbidden!r}"


def test_no_mark_of_a_merge_conflict_is_committed():
    marks = re.compile(r"^(<{7} |>{7} |={7}$|\|{7} )", re.MULTILINE)
    marked = [str(path) for path in tracked("*") if marks.search(path.read_text(errors="replace"))]
    assert not marked
