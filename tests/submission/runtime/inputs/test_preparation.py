"""From mounts to importable packages and verified weights, with a real wheel that this environment lacks."""

import contextlib
import os
import shutil
import sys
import time
import zipfile
from pathlib import Path

import pytest

from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.manifest import Entry, Manifest, Wheel
from submission.imports import imported
from submission.runtime.inputs.import_check import ImportCheck
from submission.runtime.inputs.package_plan import make_plan, needed_by
from submission.runtime.inputs.preparation import (
    Broken,
    DatasetsFound,
    Installed,
    MemberLost,
    Preparation,
    Prepared,
    WeightsReady,
    WheelsRestored,
)
from submission.runtime.inputs.versions import python_tag

NEEDY, EASY = 0, 1


def write_wheel(folder: Path) -> Entry:
    path = folder / "tinytool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tinytool.py", "VALUE = 42\n")
        archive.writestr(
            "tinytool-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinytool\nVersion: 1.0\n"
        )
        archive.writestr(
            "tinytool-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tinytool-1.0.dist-info/RECORD", "tinytool.py,,\n")
    wheel = Wheel(
        name="tinytool",
        version="1.0",
        tags=["py3-none-any"],
        licence="MIT",
        accepts="==1.0",
        requires={python_tag(): ["numpy"]},
    )
    return Entry(
        file=path.name, size=path.stat().st_size, sha256=sha256_file(path), role="wheel", wheel=wheel
    )


@pytest.fixture
def bundle(tmp_path):
    """A mount with one wheel and two members' weights; the first member needs the wheel."""
    folder = tmp_path / "input" / "kit"
    folder.mkdir(parents=True)
    entries = [write_wheel(folder)]
    for number in (NEEDY, EASY):
        path = folder / f"member{number}.safetensors"
        path.write_bytes(bytes([number]) * 1000)
        entries.append(Entry(file=path.name, size=1000, sha256=sha256_file(path), role="weights"))
    manifest = Manifest(dataset="kit", files=entries, targets=[python_tag()])
    manifests.save(folder, manifest)
    members = [
        Member(
            name=f"member{number}",
            weights=f"member{number}.safetensors",
            sha256=entries[1 + number].sha256,
            size=1000,
            network={},
            inference={},
            requires=["tinytool"] if number == NEEDY else ["numpy"],
        )
        for number in (NEEDY, EASY)
    ]
    ensemble = Ensemble(
        competition="kidney",
        kind="semantic",
        members=members,
        passes=[Pass(member=number, view="identity", seconds_per_megapixel=1.0) for number in (NEEDY, EASY)],
        rungs=[Rung(passes=[0, 1], weights=[1.0, 1.0], settings={}, cv=0.5)],
    )
    return folder, ensemble, manifest


def check_of(site: Path, text: str):
    """Start an import check of what a text imports."""
    code = (
        "import sys; from pathlib import Path\n"
        "from submission.runtime.inputs.import_check import try_imports\n"
        f"try_imports({imported({'a.py': text})}, Path(sys.argv[1]))"
    )
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    return lambda file: ImportCheck([sys.executable, "-c", code], {**os.environ, "PYTHONPATH": path}, file)


def prepare(tmp_path, ensemble, manifest, timeout=600.0, imports="import numpy") -> dict[type, list]:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    work = Preparation(
        ensemble,
        [manifest],
        make_plan(needed_by(ensemble), [manifest]),
        root=tmp_path / "input",
        site=tmp_path / "site",
        scratch=scratch,
        timeout=timeout,
        start_check=check_of(tmp_path / "site", imports),
    )
    work.start(tmp_path / "competition")
    told: dict[type, list] = {}
    while not {Prepared, Broken} & set(told):
        news = work.events.get(timeout=600).news
        told.setdefault(type(news), []).append(news)
    return told


def test_a_whole_bundle_is_installed_and_every_member_announced(tmp_path, bundle):
    folder, ensemble, manifest = bundle
    told = prepare(tmp_path, ensemble, manifest)
    assert told[DatasetsFound][0].roots == {"kit": str(folder)}
    assert [item["how"] for item in told[WheelsRestored][0].files] == ["as is"]
    (installed,) = told[Installed]
    assert installed.tool in {"uv", "pip"}
    assert installed.refused == {}
    ((file, path),) = ((row["file"], row["path"]) for row in installed.files)
    assert path == str(folder / file)
    assert installed.files == told[WheelsRestored][0].files
    assert all(row["seconds"] >= 0 for row in installed.files)
    assert (tmp_path / "site" / "tinytool.py").is_file()
    assert [item.member for item in told[WeightsReady]] == [NEEDY, EASY]
    assert MemberLost not in told


@pytest.mark.parametrize("how", ["missing", "truncated", "damaged"])
def test_a_broken_wheel_costs_only_the_members_that_need_it(tmp_path, bundle, how):
    folder, ensemble, manifest = bundle
    path = folder / "tinytool-1.0-py3-none-any.whl"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data if how == "damaged" else data[:-1])
    told = prepare(tmp_path, ensemble, manifest)
    (lost,) = told[MemberLost]
    assert lost.member == NEEDY
    assert f"tinytool-1.0-py3-none-any.whl is {how}: expected" in str(lost.error)
    assert [item.member for item in told[WeightsReady]] == [EASY]
    assert told[Installed][0].tool == "nothing"
    for news in (told[WheelsRestored][0], told[Installed][0]):
        assert {*news.refused} == {path.name}
        assert f"is {how}" in news.refused[path.name].problem


def test_weights_the_bundle_never_had_are_told(tmp_path, bundle):
    _, ensemble, manifest = bundle
    without = Manifest(
        dataset="kit", files=[entry for entry in manifest.files if entry.file != "member1.safetensors"]
    )
    told = prepare(tmp_path, ensemble, without)
    (lost,) = told[MemberLost]
    assert "the bundle holds no weights for member1" in str(lost.error)


@pytest.mark.parametrize("lost", [False, True])
def test_a_member_is_ready_with_the_last_of_its_shards(tmp_path, bundle, lost):
    folder, ensemble, manifest = bundle
    whole = next(entry for entry in manifest.files if entry.file == f"member{EASY}.safetensors")
    (folder / whole.file).unlink()
    shards = []
    for number in range(3):
        path = folder / f"member{EASY}.part{number}.safetensors"
        path.write_bytes(bytes([7 + number]) * 300)
        entry = Entry(
            file=path.name, size=300, sha256=sha256_file(path), role="weights", part_of=whole.sha256
        )
        shards.append(entry)
    divided = Manifest(dataset="kit", files=[*(item for item in manifest.files if item != whole), *shards])
    if lost:
        (folder / shards[1].file).unlink()
    told = prepare(tmp_path, ensemble, divided)
    ready = {item.member: item for item in told[WeightsReady]}
    if lost:
        assert set(ready) == {NEEDY}
        (error,) = told[MemberLost]
        assert f"{shards[1].file} is missing" in str(error.error)
        return
    again = {item.member: item for item in prepare(tmp_path, ensemble, divided)[WeightsReady]}
    for found in (ready[EASY], again[EASY]):
        assert found.bytes == 900
        links = sorted(Path(found.path).iterdir())
        assert [sha256_file(path) for path in links] == [entry.sha256 for entry in shards]


def test_a_fault_of_the_thread_reaches_the_supervisor(tmp_path, bundle):
    folder, ensemble, manifest = bundle
    (tmp_path / "site").write_text("a file where the packages should go")
    told = prepare(tmp_path, ensemble, manifest)
    (broken,) = told[Broken]
    assert "preparing failed: FileExistsError" in str(broken.error)
    assert folder.is_dir()


def test_an_installer_that_still_runs_is_ended_with_all_it_started(tmp_path, bundle, monkeypatch):
    _, ensemble, manifest = bundle
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    (tools / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    preparation = Preparation(
        ensemble,
        [manifest],
        make_plan(needed_by(ensemble), [manifest]),
        root=tmp_path / "input",
        site=tmp_path / "site",
        scratch=tmp_path / "scratch",
        timeout=600,
        start_check=check_of(tmp_path / "site", "import numpy"),
    )
    preparation.start(tmp_path / "no competition")
    while not (tmp_path / "child").is_file() or not (tmp_path / "child").read_text():
        time.sleep(0.01)
    child = int((tmp_path / "child").read_text())
    preparation.end()
    while not isinstance(preparation.events.get(timeout=600).news, Prepared | Broken):
        pass
    state = Path(f"/proc/{child}/stat")
    with contextlib.suppress(FileNotFoundError):
        while " Z " not in state.read_text():
            time.sleep(0.01)


def test_the_plan_is_known_before_any_file_is_looked_at(bundle):
    _, ensemble, manifest = bundle
    plan = make_plan(needed_by(ensemble), [manifest])
    assert [entry.file for entry in plan.wheels] == ["tinytool-1.0-py3-none-any.whl"]
    assert plan.replaces == []
    assert "tinytool" in plan.needs[NEEDY]
    assert "tinytool" not in plan.needs[EASY]
    assert plan.refused == {}
    bare = make_plan(needed_by(ensemble), [])
    assert {*bare.refused} == {"tinytool"}
    assert "tinytool is neither in this image nor in the bundle" in str(bare.errors[NEEDY])
    assert EASY not in bare.errors


def image_with(folder: Path, monkeypatch, metadata: str | None, code: str | None) -> None:
    """An image that seems to have tinytool: with this metadata, and a module with this text."""
    info = folder / "tinytool-1.0.dist-info"
    info.mkdir(parents=True)
    if metadata is not None:
        (info / "METADATA").write_text(metadata)
    if code is not None:
        (folder / "tinytool.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


GOOD = "Metadata-Version: 2.1\nName: tinytool\nVersion: 1.0\n"


@pytest.mark.parametrize(
    "copy",
    [
        (None, None, "missing in the image"),
        (GOOD, None, "the image's copy is not used: tinytool cannot be imported: ModuleNotFoundError"),
        (GOOD, "raise ValueError('compiled for another numpy')", "the image's copy is not used"),
        (GOOD, "import os; os.abort()", "it crashes the interpreter (SIGABRT)"),
        (GOOD, "__version__ = '0.3'; VALUE = 1", "its files are of version 0.3, not 1.0"),
        (GOOD, "VALUES = 42", "has no attribute 'VALUE'"),
    ],
)
def test_a_copy_of_the_image_that_does_not_work_is_replaced(tmp_path, bundle, monkeypatch, copy):
    metadata, code, reason = copy
    _, ensemble, manifest = bundle
    image_with(tmp_path / "image", monkeypatch, metadata, code)
    told = prepare(tmp_path, ensemble, manifest, imports="import tinytool\ntinytool.VALUE")
    assert MemberLost not in told
    (installed,) = told[Installed]
    (choice,) = (choice for choice in installed.plan.choices if choice.name == "tinytool")
    assert choice.entry is not None
    assert reason.replace("has no attribute 'VALUE'", "tinytool.VALUE") in choice.reason
    assert installed.replaced == ([] if metadata is None else [f"tinytool: {choice.reason}"])
    assert (tmp_path / "site" / "tinytool.py").read_text() == "VALUE = 42\n"


def test_without_a_wheel_the_members_that_need_it_are_lost_with_the_reason(tmp_path, bundle, monkeypatch):
    folder, ensemble, manifest = bundle
    image_with(tmp_path / "image", monkeypatch, GOOD, "raise ValueError('compiled for another numpy')")
    (folder / "tinytool-1.0-py3-none-any.whl").unlink()
    told = prepare(tmp_path, ensemble, manifest, imports="import tinytool")
    assert [item.member for item in told[MemberLost]] == [NEEDY]
    assert "is missing" in str(told[MemberLost][0].error)
    bare = Manifest(dataset="kit", files=manifest.files[1:], targets=[])
    shutil.rmtree(tmp_path / "scratch")
    told = prepare(tmp_path, ensemble, bare, imports="import tinytool")
    assert [item.member for item in told[MemberLost]] == [NEEDY]
    assert "fails: tinytool cannot be imported: ValueError: compiled for another" in str(
        told[MemberLost][0].error
    )


def test_a_wheel_that_does_not_work_in_this_image_is_named(tmp_path, bundle):
    _, ensemble, manifest = bundle
    told = prepare(tmp_path, ensemble, manifest, imports="import tinytool\ntinytool.absent")
    (lost,) = told[MemberLost]
    assert lost.member == NEEDY
    problem = "the bundle's tinytool-1.0-py3-none-any.whl does not work in this image"
    assert problem in str(lost.error)
    assert problem in told[Installed][0].refused["tinytool"].problem
    assert told[WheelsRestored][0].refused == {}
