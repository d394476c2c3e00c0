import base64
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from bundle import wheelinfo
from bundle.own_wheel import SOURCES, build_wheel
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local.kaggle_names import mangle
from kit.manifest import Entry, Manifest, Wheel
from submission.runtime.inputs.install import install, link_wheels, offline_environment, unzip
from submission.runtime.inputs.mounts import File
from submission.runtime.inputs.restore import Found, Restorer
from submission.runtime.inputs.versions import python_tag
from submission.runtime.inputs.wheels import choose, installed_version

VERSION = "1.2+local.3"


def make_wheel(folder: Path, name: str = "tinytool", version: str = VERSION) -> Path:
    """A real wheel, local version and all, with a module, a `.data` folder and a RECORD."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{name}-{version}.data/purelib/{name}_extra.py": "EXTRA = True\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for file, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        record += f"{file},sha256={digest},{len(text)}\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def entry_of(path: Path, name: str = "tinytool", version: str = VERSION) -> Entry:
    wheel = Wheel(
        name=name,
        version=version,
        tags=["py3-none-any"],
        licence="Apache-2.0",
        accepts=f"=={version}",
        requires={python_tag(): []},
    )
    return Entry(
        file=path.name, size=path.stat().st_size, sha256=sha256_file(path), role="wheel", wheel=wheel
    )


@pytest.fixture
def mangled(tmp_path) -> Found:
    """The wheel as it comes off a Kaggle mount, its `+` stripped, found by content."""
    path = make_wheel(tmp_path / "made")
    entry = entry_of(path)
    mount = tmp_path / "input" / "datasets" / "owner" / "wheels"
    mount.mkdir(parents=True)
    renamed = mount / mangle(path.name)
    path.rename(renamed)
    assert renamed.name == "tinytool-1.2local.3-py3-none-any.whl"
    found = Restorer([File(renamed, entry.size)], tmp_path).find(entry)
    assert found.how == "renamed"
    return found


def imported(site: Path) -> str:
    code = "import tinytool, tinytool_extra; print(tinytool.VERSION, tinytool_extra.EXTRA)"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def without(monkeypatch, *tools: str) -> None:
    """Paths of an image that lacks uv, or pip as well."""
    if "uv" in tools:
        kept = [part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "uv").exists()]
        monkeypatch.setenv("PATH", os.pathsep.join(kept))
    if "pip" in tools:
        monkeypatch.setattr(sys, "path", [part for part in sys.path if not (Path(part) / "pip").is_dir()])


def put_first(monkeypatch, tool: Path, script: str) -> None:
    """An image whose first tool is this script."""
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("absent", "used"), [((), "uv"), (("uv",), "pip"), (("uv", "pip"), "unzip")])
def test_a_wheel_whose_plus_was_stripped_installs_with_every_tool(
    monkeypatch, tmp_path, mangled, absent, used
):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    without(monkeypatch, *absent)
    assert install([mangled], tmp_path / "site", tmp_path, timeout=600) == used
    assert imported(tmp_path / "site") == "1.2+local.3 True"


@pytest.mark.parametrize("absent", [(), ("uv",), ("uv", "pip")], ids=["uv", "pip", "unzip"])
def test_our_own_wheels_install_whichever_way_a_network_spells_their_names(monkeypatch, tmp_path, absent):
    """`vit_adapter` in a declaration is `vit-adapter` in the manifest and `vit_adapter` again on disk."""
    infos = [wheelinfo.read(build_wheel(source, tmp_path / "made")) for source in SOURCES.values()]
    files = {info.name: entry_of(info.path, info.name, info.version) for info in infos}
    asked_for = ["cbnetv2", "vit_adapter"]
    with monkeypatch.context() as image:
        image.setattr(sys, "path", [])  # this environment may have them; no Kaggle image does
        choices, errors = choose([Manifest(dataset="wheels", files=[*files.values()])], asked_for)
    assert (errors, [choice.entry for choice in choices]) == ({}, [*files.values()])
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    without(monkeypatch, *absent)
    site = tmp_path / "site"
    found = [Found(files[info.name], info.path, "as is") for info in infos]
    install(found, site, tmp_path, timeout=600)
    for (name, source), module in zip(SOURCES.items(), asked_for, strict=True):
        version = files[name].wheel.version
        assert installed_version(name, [str(site)]) == installed_version(module, [str(site)]) == version
        inside = Path(module, "__init__.py")
        assert (site / inside).read_bytes() == (source / "src" / inside).read_bytes()


def test_a_tool_that_fails_is_replaced_by_the_next_and_named(monkeypatch, tmp_path, mangled):
    broken = tmp_path / "bin" / "uv"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 2\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}{os.pathsep}{os.environ['PATH']}")
    told = []
    assert install([mangled], tmp_path / "site", tmp_path, timeout=600, on_end=told.append) == "pip"
    assert [(row["tool"], row["wheels"], row["error"]) for row in told] == [
        ("uv", 1, "no such option"),
        ("pip", 1, None),
    ]
    assert all(row["seconds"] >= 0 for row in told)


def test_a_tool_that_hangs_costs_no_more_than_its_time(monkeypatch, tmp_path, mangled):
    stuck = tmp_path / "bin" / "uv"
    stuck.parent.mkdir()
    stuck.write_text("#!/bin/sh\nexec sleep 600\n")
    stuck.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stuck.parent}{os.pathsep}{os.environ['PATH']}")
    without(monkeypatch, "pip")
    told = []
    assert install([mangled], tmp_path / "site", tmp_path, timeout=1, on_end=told.append) == "unzip"
    assert "did not finish" in told[0]["error"]
    assert told[0]["seconds"] >= 1


def test_a_tool_that_stands_still_gives_way_long_before_its_time(monkeypatch, tmp_path, mangled):
    put_first(monkeypatch, tmp_path / "bin" / "uv", "exec sleep 600")
    without(monkeypatch, "pip")
    monkeypatch.setattr("submission.runtime.inputs.patience.STUCK", 1.5)
    told = []
    assert install([mangled], tmp_path / "site", tmp_path, timeout=7200, on_end=told.append) == "unzip"
    stuck, fine = told
    assert re.fullmatch(r"uv did not finish: it stood still for \d+ s", stuck["error"])
    assert fine["error"] is None


def test_a_tool_that_computes_is_not_stuck(monkeypatch, tmp_path, mangled):
    # Three seconds of processor time, which `times` tells: on a busy machine they take longer.
    busy = f"""while :; do
        i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done
        times > {tmp_path}/times; read used rest < {tmp_path}/times
        case $used in 0m[3-9]*) echo done; exit 3;; esac
    done"""
    put_first(monkeypatch, tmp_path / "bin" / "uv", busy)
    without(monkeypatch, "pip")
    monkeypatch.setattr("submission.runtime.inputs.patience.STUCK", 1.5)
    told = []
    install([mangled], tmp_path / "site", tmp_path, timeout=7200, on_end=told.append)
    assert [row["error"] for row in told] == ["done", None]


def test_a_tool_that_no_signal_reaches_is_left_behind(monkeypatch, tmp_path, mangled):
    """A process in a read of a dead mount stays, holds its output open, and writes later."""
    pid = tmp_path / "pid"
    escapes = f"""setsid sh -c 'echo $$ > {pid}; sleep 3; for d in {tmp_path}/uv-*/; do mkdir -p $d/tinytool
        echo broken > $d/tinytool/__init__.py; done; echo written > {tmp_path}/late; sleep 600' & wait"""
    put_first(monkeypatch, tmp_path / "bin" / "uv", escapes)
    without(monkeypatch, "pip")
    kills, started = [], []
    monkeypatch.setattr("os.killpg", lambda group, number: kills.append(group))
    used = install([mangled], tmp_path / "site", tmp_path, timeout=1, on_start=started.append)
    assert (used, kills) == ("unzip", [started[0].pid])
    while not (tmp_path / "late").exists():
        time.sleep(0.05)
    assert imported(tmp_path / "site") == "1.2+local.3 True"
    monkeypatch.undo()
    os.killpg(int(pid.read_text()), signal.SIGKILL)
    os.killpg(kills[0], signal.SIGKILL)
    started[0].wait()


def test_files_in_the_current_folder_are_not_taken_for_the_librarys(monkeypatch, tmp_path, mangled):
    (tmp_path / "pip.py").write_text("raise SystemExit('not pip')")
    monkeypatch.chdir(tmp_path)
    without(monkeypatch, "uv")
    assert install([mangled], tmp_path / "site", tmp_path / "scratch", timeout=600) == "pip"


def test_what_nobody_can_install_is_told_with_every_reason(monkeypatch, tmp_path, mangled):
    without(monkeypatch, "uv", "pip")
    mangled.path.write_bytes(b"no zip")
    told = []
    with pytest.raises(
        KitError, match="the bundle's wheels could not be installed: unzip: a wheel cannot be unpacked"
    ):
        install([mangled], tmp_path / "site", tmp_path, timeout=600, on_end=told.append)
    ((tool, error),) = ((row["tool"], row["error"]) for row in told)
    assert tool == "unzip"
    assert error.startswith("a wheel cannot be unpacked")


def test_another_version_than_the_manifests_is_noticed(monkeypatch, tmp_path):
    without(monkeypatch, "uv", "pip")
    path = make_wheel(tmp_path / "made", version="1.0")
    entry = entry_of(path, version="1.1")
    with pytest.raises(KitError, match=r"tinytool 1\.1 was not installed \(found: 1\.0\)"):
        install([Found(entry, path, "as is")], tmp_path / "site", tmp_path, timeout=600)


def test_torch_is_never_installed(tmp_path):
    path = make_wheel(tmp_path / "made", name="torch", version="9.9")
    with pytest.raises(KitError, match="torch belongs to the image"):
        install(
            [Found(entry_of(path, "torch", "9.9"), path, "as is")], tmp_path / "site", tmp_path, timeout=600
        )
    assert not list((tmp_path / "site").iterdir())


def test_nothing_to_install_makes_an_empty_folder(tmp_path):
    assert install([], tmp_path / "site", tmp_path, timeout=600) == "nothing"
    assert (tmp_path / "site").is_dir()


def test_links_carry_the_names_installers_insist_on(tmp_path, mangled):
    (link,) = link_wheels([mangled], tmp_path / "links")
    assert link.name == "tinytool-1.2+local.3-py3-none-any.whl"
    assert link.resolve() == mangled.path.resolve()


def test_unzipping_puts_data_folders_where_an_installer_does(tmp_path):
    unzip([make_wheel(tmp_path / "made")], tmp_path / "site")
    assert (tmp_path / "site" / "tinytool_extra.py").is_file()
    assert not list((tmp_path / "site").glob("*.data"))


def test_unzipping_keeps_the_right_to_be_run(tmp_path):
    wheel, site = make_wheel(tmp_path / "made"), tmp_path / "site"
    tool = zipfile.ZipInfo("tinytool/tool")
    tool.external_attr = 0o100755 << 16
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(tool, "#!/bin/sh\nexit 7\n")
    unzip([wheel], site)
    assert subprocess.run([site / "tinytool" / "tool"], check=False).returncode == 7
    assert not os.access(site / "tinytool" / "__init__.py", os.X_OK)


def test_no_library_phones_home_and_our_folder_comes_first(tmp_path):
    inherited = {"PYTHONPATH": "/theirs", "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/bin"}
    environment = offline_environment(inherited, tmp_path / "scratch", tmp_path / "site")
    assert environment["PYTHONPATH"] == f"{tmp_path / 'site'}{os.pathsep}/theirs"
    assert environment["TMPDIR"] == str(tmp_path / "scratch"), "pip unpacks where there is room"
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    refusing = {"PIP_CONSTRAINT": "/c.txt", "PIP_REQUIRE_HASHES": "1", "UV_CONSTRAINT": "/c.txt"}
    assert not refusing.keys() & offline_environment(refusing, tmp_path, tmp_path).keys()
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "NO_ALBUMENTATIONS_UPDATE",
        "UV_OFFLINE",
        "PIP_NO_INDEX",
    ):
        assert environment[name] == "1"
