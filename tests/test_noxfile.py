"""The table of contents lists what exists: no stub, nothing missing; its environment is made when needed."""

import __future__

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle.own_wheels import OWN_WHEELS
from kit.local.environment_stamps import is_of, lock_identity, own_wheels_identity
from kit.local.session_options import with_defaults
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from train_local import recipes

ROOT = Path(__file__).parents[1]
STATEMENTS = ast.parse((ROOT / "noxfile.py").read_text()).body


def constant(name):
    for node in STATEMENTS:
        if isinstance(node, ast.Assign) and [
            target.id for target in node.targets if isinstance(target, ast.Name)
        ] == [name]:
            return ast.literal_eval(node.value)
    raise AssertionError(f"noxfile.py assigns no {name}")


def sessions():
    for node in STATEMENTS:
        if isinstance(node, ast.FunctionDef) and "nox.session" in map(
            ast.unparse, [getattr(decorator, "func", decorator) for decorator in node.decorator_list]
        ):
            yield node


def test_every_recipe_has_its_session_where_nox_runs_without_our_dependencies(tmp_path):
    # A nox that only records sessions, in an isolated interpreter: no package of ours can be imported there.
    (tmp_path / "nox.py").write_text(
        "from types import SimpleNamespace\n"
        "options, sessions, Session = SimpleNamespace(), [], object\n"
        "def session(function=None, name=None):\n"
        "    if function is None:\n"
        "        return lambda function: session(function, name)\n"
        "    sessions.append(name or function.__name__)\n"
        "    return function\n"
    )
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import nox, runpy; "
        f"runpy.run_path({str(ROOT / 'noxfile.py')!r}); print(*nox.sessions)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    made = [name for name in done.stdout.split() if name.startswith("train-") and name != "train-all"]
    assert made == [f"train-{name}" for name in recipes.names()]


@pytest.mark.parametrize(("asked", "stops"), [("bundle upload", True), ("tests lint", False)])
def test_after_a_bundle_that_failed_the_former_one_is_not_sent(tmp_path, asked, stops):
    (tmp_path / "nox.py").write_text(
        "from types import SimpleNamespace\n"
        "options, Session = SimpleNamespace(), object\n"
        "def session(function=None, name=None):\n"
        "    return function or (lambda function: function)\n"
    )
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = {['nox', '-s', *asked.split()]!r}; "
        f"import nox, runpy; runpy.run_path({str(ROOT / 'noxfile.py')!r}); "
        "print(nox.options.stop_on_first_error)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(stops)


def test_the_demo_shows_competitions_there_is_a_sample_of_and_trains_recipes_for_them():
    demo = constant("DEMO")
    assert set(demo) <= {path.parent.name for path in ROOT.glob("sample/*/README.md")}
    assert {recipes.competition_of(recipe): recipe for recipe in demo.values()} == demo
    marked = [name for name in recipes.names() if getattr(recipes.get(name), "demo", False)]
    assert sorted(demo.values()) == marked, "their tiny forms have more steps"


def test_the_readme_lists_the_sessions_there_are():
    table = (ROOT / "README.md").read_text().split("| session | does |")[1].split("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    named = {code.split(" ")[0] for first in firsts for code in re.findall(r"`([^`]+)`", first)}
    there = {node.name.replace("train_all", "train-all") for node in sessions()} - {"train"}
    assert named == {*there, "train-<recipe>"}


def test_every_own_wheel_of_the_bundle_is_in_the_environment():
    assert sorted(constant("OWN_WHEELS")) == sorted(name.removesuffix("-full") for name in OWN_WHEELS)


def test_every_session_says_in_a_line_what_it_does():
    described = {node.name: ast.get_docstring(node) for node in sessions()}
    assert len(described) >= 12
    assert {name: text for name, text in described.items() if not text or "\n\n" in text.strip()} == {}


# --- the one environment ---


class Machine:
    """Stands where nox would run commands: writes them down, and makes the folder a new environment is."""

    def __init__(self):
        self.commands = []

    def run(self, *command, **options):
        self.commands.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        if "wheel" in command:
            out = Path(command[command.index("--out") + 1])
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{command[command.index('wheel') + 1]}.whl").touch()


@pytest.fixture
def project(tmp_path):
    """A copy of what the environment is made from, and noxfile's own functions looking at it.

    They are taken out of the file because nox, which that imports, runs outside of this environment.
    """
    shutil.copytree(ROOT / "bundle", tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    for lock in ("requirements.lock", "requirements-bench.txt", "requirements-docs.txt"):
        shutil.copyfile(ROOT / lock, tmp_path / lock)
    functions = [node for node in STATEMENTS if isinstance(node, ast.FunctionDef)]
    wanted = [
        node
        for node in functions
        if not node.decorator_list and not node.name.startswith(("_train", "options_for"))
    ]
    space = {
        "with_defaults": with_defaults,
        "is_of": is_of,
        "lock_identity": lock_identity,
        "own_wheels_identity": own_wheels_identity,
        "json": json,
        "shutil": shutil,
        "sys": sys,
        "Path": Path,
        "find_uv": find_uv,
        "os": os,
        "tool_environment": tool_environment,
        "takewhile": takewhile,
        "ROOT": tmp_path,
        "BUILD": tmp_path / "build",
        "INSTALL": constant("INSTALL"),
        "OWN_WHEELS": constant("OWN_WHEELS"),
        "WORK": tmp_path / "work",
        "RUNS": tmp_path / "runs",
        "DIST": tmp_path / "dist",
        "tomllib": tomllib,
        "options_for": lambda _, options: options,
    }
    tree = ast.Module(wanted, type_ignores=[])
    exec(compile(tree, "noxfile.py", "exec", flags=__future__.annotations.compiler_flag), space)
    machine = Machine()
    return SimpleNamespace(
        root=tmp_path,
        machine=machine,
        environment=functools.partial(space["environment"], machine),
        locked_environment=functools.partial(space["locked_environment"], machine),
        chosen=space["chosen"],
        name_of=space["name_of"],
        measured=space["measured"],
    )


def test_where_nothing_is_prepared_the_competitions_of_the_demo_are_named(project):
    (project.root / "dist" / "kidney").mkdir(parents=True)
    (project.root / "dist" / "kidney" / "ensemble.json").write_text("{}")

    def error(text):
        raise SystemExit(text)

    with pytest.raises(SystemExit, match=r"no competition is prepared yet.*dist/ has kidney.*-- kidney"):
        project.chosen(SimpleNamespace(posargs=[], error=error))


def test_a_competition_of_a_file_has_the_folders_of_its_name(project):
    (project.root / "some.toml").write_text('like = "kidney"\nname = "glands"\n')
    assert project.name_of(str(project.root / "some.toml")) == "glands"
    assert project.name_of("kidney") == "kidney"
    (project.root / "broken.toml").write_text("name = ")
    assert project.name_of(str(project.root / "broken.toml")) == "broken"


def test_competitions_are_those_named_else_those_prepared_whatever_defines_them(project):
    for name in ("kidney", "glands"):
        (project.root / "work" / name).mkdir(parents=True)
        (project.root / "work" / name / "prepared.json").write_text("{}")
    chosen = [project.chosen(SimpleNamespace(posargs=args)) for args in ([], ["glands", "--tiny"], ["body"])]
    assert chosen == [(["glands", "kidney"], []), (["glands"], ["--tiny"]), (["body"], [])]


def test_other_weights_are_scored_on_what_was_prepared_and_trained(project):
    (project.root / "work" / "kidney").mkdir(parents=True)
    (project.root / "work" / "kidney" / "prepared.json").write_text('{"data": "/data/kidney"}')
    runs = str(project.root / "runs" / "kidney")
    given = ["--weights-dtype=float16"]
    assert project.measured("kidney", given) == [*given, "--data", "/data/kidney", "--runs", runs]
    assert project.measured("kidney", []) == []
    assert project.measured("body", given) == given


def verbs(project):
    """What one call of `environment` did, in short."""
    project.machine.commands.clear()
    project.environment()
    known = ("venv", "--require-hashes", "wheel", "--reinstall")
    return [next(verb for verb in known if verb in command) for command in project.machine.commands]


OURS = ["wheel", "wheel", "wheel", "--reinstall"]
ALL = ["venv", "--require-hashes", *OURS]


def test_an_environment_is_made_once_and_has_every_own_wheel(project):
    assert verbs(project) == ALL
    installed = [Path(part).stem for part in project.machine.commands[-1] if part.endswith(".whl")]
    assert installed == ["cbnetv2", "mmcv", "vit-adapter"]
    assert "--no-deps" in project.machine.commands[-1]
    assert verbs(project) == []


def test_what_is_installed_has_its_bytecode_whatever_the_variables_of_python_say(project):
    verbs(project)
    installs = [command for command in project.machine.commands if "install" in command]
    assert len(installs) == 2
    assert all("--compile-bytecode" in command for command in installs)


def test_the_benchmarks_have_an_environment_of_their_own_with_their_peers(project):
    verbs(project)
    project.machine.commands.clear()
    python = project.environment(peers=True)
    assert Path(python).parents[1] != Path(project.environment()).parents[1]
    [install] = [command for command in project.machine.commands if "--require-hashes" in command]
    assert [install[at + 1] for at, part in enumerate(install) if part == "-r"] == [
        "requirements.lock",
        "requirements-bench.txt",
    ]
    assert verbs(project) == []


def test_what_builds_the_site_has_an_environment_of_its_own_and_nothing_else_in_it(project):
    folder = project.locked_environment("docs", ["requirements-docs.txt"])
    assert folder.name.startswith("docs-")
    [venv, install] = project.machine.commands
    assert "venv" in venv
    assert [install[at + 1] for at, part in enumerate(install) if part == "-r"] == ["requirements-docs.txt"]
    project.machine.commands.clear()
    assert project.locked_environment("docs", ["requirements-docs.txt"]) == folder
    assert project.machine.commands == []


@pytest.mark.parametrize(
    "name",
    [
        "bundle/packages/cbnetv2/src/cbnetv2/__init__.py",
        "bundle/packages/vit_adapter/pyproject.toml",
        "bundle/packages/vit_adapter/LICENSE",
        "bundle/packages/mmcv_portable/_ext.py",
        "bundle/own_wheel.py",
    ],
)
def test_a_change_in_one_of_our_packages_installs_our_wheels_again_and_nothing_else(project, name):
    verbs(project)
    with (project.root / name).open("a") as file:
        file.write("# changed\n")
    assert verbs(project) == OURS
    assert verbs(project) == []


def test_a_module_that_moves_or_goes_installs_our_wheels_again(project):
    verbs(project)
    source = project.root / "bundle/packages/cbnetv2/src/cbnetv2/__init__.py"
    source.rename(source.with_name("elsewhere.py"))
    assert verbs(project) == OURS
    source.with_name("elsewhere.py").unlink()
    assert verbs(project) == OURS


def test_another_lock_makes_the_whole_environment_again(project):
    verbs(project)
    with (project.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    assert verbs(project) == ALL


def test_tests_of_our_packages_and_what_python_leaves_behind_change_nothing(project):
    verbs(project)
    package = project.root / "bundle/packages/cbnetv2"
    for name in ("tests/test_new.py", "src/cbnetv2/__pycache__/__init__.pyc"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new")
    assert verbs(project) == []


def test_own_wheels_whose_installation_was_cut_off_are_installed_again(project):
    verbs(project)
    source = project.root / "bundle/packages/cbnetv2/src/cbnetv2/__init__.py"
    before = source.read_text()
    source.write_text("# changed\n")
    run = project.machine.run

    def cut_off(*command, **options):
        if "--reinstall" in command:
            raise KeyboardInterrupt
        run(*command, **options)

    project.machine.run = cut_off
    with pytest.raises(KeyboardInterrupt):
        project.environment()
    project.machine.run = run
    source.write_text(before)  # what is installed may be either
    assert verbs(project) == OURS
