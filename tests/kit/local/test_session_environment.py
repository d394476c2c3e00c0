"""The environment of the sessions is made when it is needed, from what it is made of."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle.own_wheels import OWN_WHEELS
from kit.local import session_environment

ROOT = Path(__file__).parents[3]
PACKAGES = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")


class Machine:
    """Stands where nox would run commands: writes them down, and makes the folder a new environment is."""

    def __init__(self):
        self.commands = []

    def run(self, *command, **options):
        self.commands.append(command)
        if "venv" in command:
            (Path(command[-1]) / PACKAGES).mkdir(parents=True)
        if "wheel" in command:
            out = Path(command[command.index("--out") + 1])
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{command[command.index('wheel') + 1]}.whl").touch()


@pytest.fixture
def project(tmp_path):
    """A copy of what the environment is made from."""
    shutil.copytree(ROOT / "bundle", tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    for lock in ("requirements.lock", "requirements-bench.txt", "requirements-docs.txt"):
        shutil.copyfile(ROOT / lock, tmp_path / lock)
    machine = Machine()

    def environment(*, peers=False):
        return session_environment.with_own_wheels(machine, tmp_path, peers=peers)

    return SimpleNamespace(root=tmp_path, machine=machine, environment=environment)


def test_every_own_wheel_of_the_bundle_is_in_the_environment():
    expected = sorted(name.removesuffix("-full") for name in OWN_WHEELS)
    assert sorted(session_environment.OWN_WHEELS) == expected


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


def test_the_benchmarks_have_an_environment_of_their_own_for_their_peers_alone(project):
    verbs(project)
    project.machine.commands.clear()
    python = project.environment(peers=True)
    assert Path(python).parents[1] != Path(project.environment()).parents[1]
    [install] = [command for command in project.machine.commands if "--require-hashes" in command]
    assert [install[at + 1] for at, part in enumerate(install) if part == "-r"] == ["requirements-bench.txt"]
    assert "--no-deps" in install, "their dependencies are in the shared environment"
    assert verbs(project) == []


def test_an_environment_beside_another_one_finds_its_packages_and_those_its_pth_files_name(tmp_path):
    (tmp_path / "lock.txt").touch()
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    for folder, module in ((shared / PACKAGES, "shared"), (elsewhere, "elsewhere")):
        folder.mkdir(parents=True)
        (folder / f"of_{module}.py").write_text("")
    (shared / PACKAGES / "more.pth").write_text(f"{elsewhere}\n")
    folder = session_environment.locked(Machine(), tmp_path, "bench", ["lock.txt"], beside=shared)
    code = f"import site; site.addsitedir({str(folder / PACKAGES)!r}); import of_shared, of_elsewhere"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


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


def test_what_builds_the_site_has_an_environment_of_its_own_and_nothing_else_in_it(project):
    locks = ["requirements-docs.txt"]
    folder = session_environment.locked(project.machine, project.root, "docs", locks)
    assert folder.name.startswith("docs-")
    [venv, install] = project.machine.commands
    assert "venv" in venv
    assert [install[at + 1] for at, part in enumerate(install) if part == "-r"] == locks
    project.machine.commands.clear()
    assert session_environment.locked(project.machine, project.root, "docs", locks) == folder
    assert project.machine.commands == []
