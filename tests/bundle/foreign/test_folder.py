"""A folder as a source: what counts as its content, and that the copy is exactly that."""

import os
import sys

import pytest

from bundle.foreign.folder import Folder
from kit.errors import KitError


@pytest.fixture
def source(project):
    return Folder(project, "", "foreign.in:1")


LEFT = (".git/HEAD", "src/__pycache__/x.pyc", "build/lib/x.py", "dist/x.whl", "src/x.egg-info/PKG-INFO",
        "a.pyc", ".venv/x", "env/pyvenv.cfg", "env/lib/x.py", ".mypy_cache/x", "src/.DS_Store")  # fmt: skip


def test_what_builds_and_tools_leave_is_no_content_and_is_not_copied(source, tmp_path):
    before = source.content()
    for name in LEFT:
        path = source.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left behind")
    assert source.content() == before
    copy = source.unpack(tmp_path / "copy")
    found = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert found == {"pyproject.toml", "backend.py", "src/my_models/__init__.py"}


def test_a_folder_named_build_below_the_top_is_content(source):
    before = source.content()
    (source.path / "src" / "build").mkdir()
    (source.path / "src" / "build" / "x.py").touch()
    assert source.content() != before


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "backend.py").write_text("other"),
        lambda path: (path / "new.txt").touch(),
        lambda path: (path / "backend.py").rename(path / "front.py"),
        lambda path: (path / "backend.py").chmod(0o755),
        lambda path: (path / "link").symlink_to("backend.py"),
        lambda path: (path / "src" / "my_models" / "__init__.py").unlink(),
    ],
    ids=["bytes", "a file more", "a name", "a program", "a link", "a file less"],
)
def test_every_change_is_another_content(source, change):
    before = source.content()
    change(source.path)
    assert source.content() != before


def test_time_place_and_rights_of_others_are_no_content(source, tmp_path):
    before = source.content()
    os.utime(source.path / "backend.py", (1, 1))
    (source.path / "backend.py").chmod(0o600)
    source.path.rename(tmp_path / "elsewhere")
    assert Folder(tmp_path / "elsewhere", "", "x").content() == before


def test_links_inside_are_copied_as_links(source, tmp_path):
    (source.path / "linked").symlink_to("src")
    (source.path / "file").symlink_to("src/my_models/__init__.py")
    copy = source.unpack(tmp_path / "copy")
    assert (copy / "linked").readlink().as_posix() == "src"
    assert (copy / "file").read_text() == "NAME = 1\n"


def outside(path):
    (path / "link").symlink_to("../other")


def circle(path):
    (path / "link").symlink_to("link")


def pipe(path):
    os.mkfifo(path / "pipe")


def nothing(path):
    (path / "pyproject.toml").write_text("[tool.ruff]\n")


def one_below(path):
    (path / "inner").mkdir()
    (path / "pyproject.toml").rename(path / "inner" / "pyproject.toml")


def no_toml(path):
    (path / "pyproject.toml").write_text("[project")


@pytest.mark.parametrize(
    ("change", "told", "advice"),
    [
        (outside, "link is a link to ../other, out of the source", "put the file itself there"),
        pytest.param(
            *(circle, "link is a link to itself", "remove it"),
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="a link without a target there"),
        ),
        (pipe, "pipe is neither a file nor a folder", "remove it"),
        (nothing, "there is nothing to build: no setup.py, and no pyproject.toml", "add a pyproject.toml"),
        (one_below, "there is nothing to build", "inner in it has one: name it with #subdirectory="),
        (no_toml, "its pyproject.toml cannot be read", "correct it"),
    ],
)
def test_a_folder_that_cannot_be_built_is_refused_before_it_is_copied(source, change, told, advice):
    change(source.path)
    with pytest.raises(KitError) as refused:
        source.content()
    assert told in refused.value.problem
    assert advice in refused.value.fix


def test_a_folder_of_data_is_refused(source, monkeypatch):
    with (source.path / "weights.bin").open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: it takes no room
    with pytest.raises(KitError, match="the folder holds more than 1 GiB: that is no package"):
        source.content()


def test_the_project_may_lie_below(project, tmp_path):
    inner = tmp_path / "outer" / "python"
    inner.parent.mkdir()
    project.rename(inner)
    source = Folder(inner.parent, "python", "foreign.in:1")
    assert source.unpack(tmp_path / "copy") == tmp_path / "copy" / "python"
    with pytest.raises(KitError, match="the source has no folder other"):
        Folder(inner.parent, "other", "foreign.in:1").content()
