"""Foreign sources become wheels: built once for each content, with the same bytes; faults are refused."""

import platform
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bundle import wheelinfo
from bundle.foreign.wheels import foreign_wheels
from kit.errors import KitError
from kit.local import targets
from kit.local.interpreters import find_python
from kit.local.lockfile import Pin
from tests.bundle.foreign_projects import NATIVE, git, write_project

KNOWN = {item.tag: item for item in targets.known() if item.accelerator == "gpu"}
OWN = f"cp3{sys.version_info.minor}"
OTHER = "cp313" if OWN != "cp313" else "cp312"


@pytest.fixture
def build(tmp_path, listed):
    """Build the sources of some lines for some targets."""

    def run(*lines, tags=(OWN,), pins=(), cache="cache"):
        images = [KNOWN[tag] if isinstance(tag, str) else tag for tag in tags]
        return foreign_wheels(listed(*lines), images, list(pins), tmp_path / cache)

    return run


def builds(text):
    return text.count("building ")


def content(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_pure_one_is_built_once_for_all_targets(build, project, capfd):
    [made] = build("my_models", tags=("cp311", "cp312", "cp313"))
    assert (made.name, made.version, made.where.rpartition("/")[2]) == ("my-models", "0.3", "foreign.in:1")
    assert set(made.by_target) == {KNOWN[tag].name for tag in ("cp311", "cp312", "cp313")}
    [path] = {info.path for info in made.by_target.values()}
    found = content(path)
    assert found["my_models/__init__.py"] == b"NAME = 1\n"
    assert found["my_models-0.3.dist-info/RECORD"].startswith(b"my_models/__init__.py,sha256="), (
        "a new RECORD"
    )
    assert builds(capfd.readouterr().err) == 1
    log = path.parent / f"build-3.{minor(path)}-{platform.machine()}.log"
    assert "the backend works in" in log.read_text()


def minor(path):
    [log] = path.parent.glob("*.log")
    return log.name.split("-")[1].partition(".")[2]


def test_the_same_content_is_not_built_again_and_another_one_is(build, project, capfd):
    [first] = build("my_models")
    shutil.move(project, project.with_name("moved"))
    [second] = build("moved  # the same files")
    assert second.by_target == first.by_target
    assert builds(capfd.readouterr().err) == 1
    (project.with_name("moved") / "src" / "my_models" / "__init__.py").write_text("NAME = 2\n")
    [third] = build("moved")
    assert builds(capfd.readouterr().err) == 1
    assert content(third.by_target[KNOWN[OWN].name].path)["my_models/__init__.py"] == b"NAME = 2\n"


def test_a_damaged_wheel_in_the_cache_is_built_again(build, project, capfd):
    [first] = build("my_models")
    path = first.by_target[KNOWN[OWN].name].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    [second] = build("my_models")
    assert second.by_target[KNOWN[OWN].name].path.read_bytes() == whole
    (path.parent / "built.json").write_text('["damaged"]')
    [third] = build("my_models")
    assert third.by_target == second.by_target
    assert builds(capfd.readouterr().err) == 3


def test_the_same_source_gives_the_same_bytes_from_another_cache_and_folder(build, project, monkeypatch):
    """The backend writes its own clock into the wheel."""
    [first] = build("my_models")
    shutil.move(project, project.with_name("moved"))
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    [second] = build("moved", cache="cold")
    paths = [made.by_target[KNOWN[OWN].name].path for made in (first, second)]
    assert paths[0] != paths[1]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_program_in_a_wheel_may_still_be_run(build, project):
    tool = project / "src" / "my_models" / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o700)
    [made] = build("my_models")
    with zipfile.ZipFile(made.by_target[KNOWN[OWN].name].path) as archive:
        modes = {item.filename: item.external_attr >> 16 for item in archive.infolist()}
    assert modes.pop("my_models/tool") == stat.S_IFREG | 0o755
    assert set(modes.values()) == {stat.S_IFREG | 0o644}


def test_a_source_distribution_and_a_commit_give_the_wheel_of_their_folder(build, project, repo, tmp_path):
    [folder] = build("my_models")
    made = shutil.make_archive(str(tmp_path / "my_models-0.3"), "gztar", tmp_path, "my_models")
    [sdist] = build(f"./{made.rpartition('/')[2]}")
    commit = git(repo, "rev-parse", "HEAD")
    [checkout] = build(f"git+file://{repo}@{commit}")
    files = {made.by_target[KNOWN[OWN].name].path.read_bytes() for made in (folder, sdist, checkout)}
    assert len(files) == 1
    titles = [made.origin.title for made in (folder, sdist, checkout)]
    assert titles == ["folder my_models", "my_models-0.3.tar.gz", "repository repo"]
    assert checkout.origin.content == f"commit:{commit}"


def test_without_a_list_there_are_no_foreign_wheels_and_one_in_this_folder_is_found(
    project, listed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert foreign_wheels(None, [KNOWN[OWN]], [], tmp_path / "cache") == []
    listed("# nothing yet")
    assert foreign_wheels(None, [KNOWN[OWN]], [], tmp_path / "cache") == []
    listed("my_models")
    [made] = foreign_wheels(None, [KNOWN[OWN]], [], tmp_path / "cache")
    assert made.name == "my-models"


# --- compiled ---


@pytest.fixture
def compiled(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    return write_project(tmp_path / "compiled", "compiled", native=NATIVE)


def test_a_compiled_one_is_for_its_python_and_names_no_folder_of_this_machine(build, compiled, tmp_path):
    [made] = build("compiled")
    info = made.by_target[KNOWN[OWN].name]
    assert info.tag_names() == [f"{OWN}-{OWN}-linux_{platform.machine()}"]
    [library] = [data for name, data in content(info.path).items() if name.endswith(".so")]
    assert b"native.c" in library
    assert str(tmp_path).encode() not in library
    (tmp_path / "check").mkdir()
    with zipfile.ZipFile(info.path) as archive:
        archive.extractall(tmp_path / "check")
    subprocess.run([sys.executable, "-c", "import _native"], cwd=tmp_path / "check", check=True)
    [again] = build("compiled", cache="cold")
    assert again.by_target[KNOWN[OWN].name].path.read_bytes() == info.path.read_bytes()


def test_for_another_python_it_is_built_with_that_one(build, compiled, capfd):
    try:
        find_python([KNOWN[OTHER].minor])
    except KitError:
        pytest.skip(f"no Python {KNOWN[OTHER].minor} on this machine")
    [made] = build("compiled", tags=(OWN, OTHER))
    tags = {name: info.tag_names()[0].partition("-")[0] for name, info in made.by_target.items()}
    assert tags == {KNOWN[OWN].name: OWN, KNOWN[OTHER].name: OTHER}
    build("compiled", tags=(OTHER, OWN))
    assert builds(capfd.readouterr().err) == 2


def test_where_that_python_is_missing_it_says_so_and_builds_nothing_twice(build, compiled, capfd):
    absent = replace(KNOWN[OWN], name="future", python="3.99", tag="cp399")
    for _ in range(2):
        with pytest.raises(KitError) as refused:
            build("compiled", tags=(absent,))
        assert "compiled 0.3, built here with Python 3" in refused.value.problem
        assert (
            f"does not run on future (Python 3.99): it is compiled for {OWN}-{OWN}-" in refused.value.problem
        )
        assert "`uv python install 3.99`" in refused.value.fix
    assert builds(capfd.readouterr().err) == 1


def test_a_library_for_a_newer_system_than_the_image_surely_has_is_refused(build, tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    newer = 'static const char needed[] = "GLIBC_2.99";\nconst char *get(void) { return needed; }\n'
    write_project(tmp_path / "newer", "newer", native=NATIVE + newer)
    with pytest.raises(
        KitError, match=r"it needs glibc 2\.99, and the image surely has no newer one than 2\.28"
    ):
        build("newer")


# --- what is refused ---


def test_a_failed_build_shows_its_last_lines_and_keeps_its_log(build, tmp_path):
    write_project(tmp_path / "broken", broken=True)
    with pytest.raises(KitError) as refused:
        build("broken")
    assert "folder broken: the build failed, its last lines:" in refused.value.problem
    assert "error: the backend gives up" in refused.value.problem
    assert "the backend gives up" in Path(refused.value.where).read_text()


def test_a_build_that_needs_an_index_which_is_out_of_reach_says_so(build, project, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("requires = []", 'requires = ["no-such-backend"]'))
    with pytest.raises(KitError, match="the build failed") as refused:
        build("my_models")
    assert "check the network and the proxy" in refused.value.fix


def test_two_sources_of_one_name_are_refused_with_both_lines(build, project, tmp_path):
    write_project(tmp_path / "other", "My_Models", "9")
    with pytest.raises(
        KitError, match="folder other and folder my_models are both named my-models"
    ) as refused:
        build("my_models", "other")
    assert refused.value.where.endswith("foreign.in:2")
    assert "foreign.in:1" in refused.value.fix


def test_a_name_of_the_lock_or_of_our_own_is_refused(build, project, tmp_path):
    pin = Pin(name="my-models", version="1.0", hashes=("0" * 64,))
    with pytest.raises(KitError, match="is named my-models, which the lock pins as well"):
        build("my_models", pins=[pin])
    write_project(tmp_path / "mmcv", "mmcv-full")
    with pytest.raises(KitError, match="is named mmcv-full, as a wheel that the kit builds itself"):
        build("mmcv")


def test_a_python_that_it_does_not_accept_is_named(build, tmp_path):
    write_project(tmp_path / "old", "old", python="<3")
    with pytest.raises(KitError, match=r"old asks for Python <3, and a target has Python 3\.") as error:
        build("old")
    assert "leave out that target" in error.value.fix


def test_its_needs_hold_on_the_target(build, tmp_path):
    write_project(tmp_path / "needy", "needy", requires=["Rare_Thing>=1", 'old ; python_version < "3.0"'])
    [made] = build("needy")
    assert made.needs(KNOWN[OWN]) == ["rare-thing"]
    info = made.by_target[KNOWN[OWN].name]
    assert wheelinfo.read(info.path) == info
