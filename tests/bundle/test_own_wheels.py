"""The wheels of our source packages: what is in them, that nothing else is, and that their bytes stay."""

import csv
import io
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement

from bundle import own_wheel, wheelinfo
from bundle.own_wheel import SOURCES
from bundle.own_wheels import OWN_WHEELS
from kit.errors import KitError
from kit.local.targets import marker_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=sorted(SOURCES))
def package(request):
    """Name of the distribution and its source folder."""
    return request.param, SOURCES[request.param]


@pytest.fixture(scope="module")
def wheel(package, tmp_path_factory):
    return own_wheel.build_wheel(package[1], tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def copy(package, tmp_path):
    """A copy of the sources that a test may damage."""
    return Path(shutil.copytree(package[1], tmp_path / package[1].name))


def content(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_own_package_is_built_for_the_bundle():
    assert sorted(OWN_WHEELS) == sorted(["mmcv-full", *SOURCES])
    packages = ROOT / "bundle" / "packages"
    assert {path.parent for path in packages.glob("*/pyproject.toml")} == set(SOURCES.values())


def test_its_files_are_the_sources_and_no_others(package, wheel):
    _, source = package
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    expected = {item.removeprefix("src/"): (source / item).read_bytes() for item in tracked}
    module = source.name
    assert {f"{module}/__init__.py", f"{module}/py.typed"} <= set(expected)
    info = f"{module}-0.1.1.dist-info"
    found = content(wheel)
    assert {item: data for item, data in found.items() if not item.startswith(info)} == expected
    assert {item for item in found if item.startswith(info)} == {
        f"{info}/{item}" for item in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")
    }
    assert found[f"{info}/licenses/LICENSE"] == (source / "LICENSE").read_bytes()


def test_its_metadata_is_the_pyproject_and_the_readme(package, wheel):
    name, source = package
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    metadata = Metadata.from_email(content(wheel)[f"{source.name}-0.1.1.dist-info/METADATA"])
    assert (metadata.name, str(metadata.version)) == (name, "0.1.1")
    assert metadata.summary == project["description"]
    assert (metadata.license_expression, metadata.license_files) == ("Apache-2.0", ["LICENSE"])
    assert str(metadata.requires_python) == ">=3.11"
    extras = project.get("optional-dependencies", {})
    asked_for = [f'{item} ; extra == "{extra}"' for extra, needs in extras.items() for item in needs]
    assert metadata.requires_dist == [Requirement(item) for item in [*project["dependencies"], *asked_for]]
    assert (metadata.provides_extra or []) == list(extras)
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (source / "README.md").read_text()


def test_its_needs_are_what_the_networks_stand_on(package, wheel):
    info = wheelinfo.read(wheel)
    assert (info.name, info.version, info.licence) == (package[0], "0.1.1", "Apache-2.0")
    assert info.tag_names() == ["py3-none-any"]
    needs = {item.name: str(item.specifier) for item in info.needs(marker_environment("3.13"))}
    assert needs["mmcv-full"] == "==1.7.2"
    assert needs["mmdet"] == "==2.28.2"
    assert ("scipy" in needs) == (package[0] == "vit-adapter")
    assert not {item.name for item in info.requires} & {"timm", "apex", "einops", "mmsegmentation"}


def test_record_counts_every_file(wheel):
    found = content(wheel)
    record = list(found)[-1]
    rows = {row[0]: row[2] for row in csv.reader(io.StringIO(found[record].decode()))}
    assert rows == {name: "" if name == record else str(len(data)) for name, data in found.items()}


def test_two_builds_in_different_surroundings_are_the_same_bytes(wheel, copy, run_elsewhere, tmp_path):
    """`run_elsewhere` says in which; the sources have another place and age too, and bytecode beside them."""
    for path in copy.rglob("*"):
        os.utime(path, (10**9, 10**9))
    for name in ("__pycache__/left.cpython-311.pyc", "sub/__pycache__/left.cpython-313.pyc"):
        left = copy / "src" / copy.name / name
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(b"left behind")
    build = "from bundle.own_wheel import build_wheel; print(build_wheel(Path(sys.argv[1]), Path('out')))"
    other = tmp_path / run_elsewhere(build, copy)
    assert other.name == wheel.name == f"{copy.name}-0.1.1-py3-none-any.whl"
    assert other.read_bytes() == wheel.read_bytes()


def test_a_changed_source_changes_the_wheel(wheel, copy, tmp_path):
    with (copy / "src" / copy.name / "__init__.py").open("a") as file:
        file.write("# changed\n")
    assert own_wheel.build_wheel(copy, tmp_path / "out").read_bytes() != wheel.read_bytes()


@pytest.mark.parametrize("name", ["pyproject.toml", "README.md", "LICENSE", "src/{}/__init__.py"])
def test_a_package_that_lacks_a_file_is_refused_by_its_name(copy, tmp_path, name):
    path = copy / name.format(copy.name)
    path.unlink()
    with pytest.raises(KitError) as refused:
        own_wheel.build_wheel(copy, tmp_path / "out")
    assert f"{path.name} cannot be read: No such file or directory" in str(refused.value)
    assert str(path) in str(refused.value)
    assert "incomplete without it" in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["{}/notes.txt", "{}/weights.pth", "other/__init__.py", "{}/module.pyc"])
def test_what_does_not_belong_into_the_package_is_refused_by_its_name(copy, tmp_path, name):
    stray = copy / "src" / name.format(copy.name)
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("")
    with pytest.raises(KitError, match=rf"{stray.name} is not a file of the package {copy.name}"):
        own_wheel.build_wheel(copy, tmp_path / "out")


VERSION = 'version = "0.1.1"'


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((f"{VERSION}\n", ""), "[project] has no version"),
        ((VERSION, f'{VERSION}\nkeywords = ["x"]'), "has keywords, which our wheels do not contain"),
        ((VERSION, 'version = "one"'), "metadata of {} is not valid: 'one' is invalid for 'version'"),
        (('"Apache-2.0"', '"Apachy"'), "'Apachy' is invalid for 'license-expression'"),
        (('"mmdet==2.28.2"', '"mmdet=2.28.2"'), "is invalid for 'requires-dist'"),
        (("[project]", "[project"), "not TOML"),
    ],
    ids=["no version", "a field too many", "version", "licence", "requirement", "no TOML"],
)
def test_a_pyproject_that_says_nonsense_is_refused(package, copy, tmp_path, change, told):
    path = copy / "pyproject.toml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(KitError) as refused:
        own_wheel.build_wheel(copy, tmp_path / "out")
    assert told.format(package[0]) in str(refused.value)


def wheel_command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bundle", "wheel", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_builds_the_same_and_prints_where(package, wheel, tmp_path):
    done = wheel_command(package[0], "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out' / wheel.name}\n"
    assert (tmp_path / "out" / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_command_line_knows_three_packages(tmp_path):
    done = wheel_command("torch", "--out", tmp_path)
    assert done.returncode == 2
    assert "invalid choice: 'torch' (choose from" in done.stderr
    assert all(name in done.stderr for name in ("mmcv", "cbnetv2", "vit-adapter"))
