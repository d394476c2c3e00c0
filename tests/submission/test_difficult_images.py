"""The rendered predict.py in images whose packages do not work, although their metadata looks right."""

import importlib.metadata
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.manifest import Entry, Manifest, Wheel
from submission.render import render
from submission.runtime.inputs.versions import python_tag

WHEELS = "hubmap-kit-wheels"
SHIPPED = {
    "pyyaml": [],
    "timm": ["pyyaml", "torch"],
    "opencv-python-headless": ["numpy"],
    "tifffile": ["numpy"],
}
"""Distributions in the bundle, with what each needs."""


def wheel_of(name: str, folder: Path) -> Path:
    """A wheel of what is installed here."""
    installed = importlib.metadata.distribution(name)
    path = folder / f"{name.replace('-', '_')}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in installed.files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                archive.write(installed.locate_file(file), str(file))
    return path


@pytest.fixture(scope="module")
def kit(tmp_path_factory, tools):
    """One member, and a bundle with wheels of some packages it needs."""
    kit = tools.make_kit(tmp_path_factory.mktemp("kit"), members=1)
    folder = kit.bundle / WHEELS
    folder.mkdir()
    entries = []
    for name, requires in SHIPPED.items():
        path = wheel_of(name, folder)
        wheel = Wheel(
            name=name,
            version=importlib.metadata.version(name),
            tags=["py3-none-any"],
            licence="",
            accepts="",
            requires={python_tag(): requires},
        )
        size = path.stat().st_size
        entries.append(Entry(file=path.name, size=size, sha256=sha256_file(path), role="wheel", wheel=wheel))
    manifests.save(folder, Manifest(dataset=WHEELS, files=entries, targets=[python_tag()]))
    render(kit.ensemble, kit.bundle, kit.script)
    return kit


@pytest.fixture
def run_in(kit, competition, tmp_path, tools):
    """Run it in an image with these files before all others: path -> text."""

    def run(
        files: dict[str, str], environment: dict[str, str] = os.environ, *, stuck: float | None = None
    ) -> subprocess.CompletedProcess:
        script = kit.script
        if stuck is not None:  # seconds after which an installer that stands still gives way
            text = script.read_text()
            assert text.count("\nSTUCK = 15.0\n") == 1
            script = tmp_path / "impatient.py"
            script.write_text(text.replace("\nSTUCK = 15.0\n", f"\nSTUCK = {stuck}\n"))
        root = tools.mount(tmp_path / "input", kit, competition)
        (root / "datasets" / "someone" / WHEELS).symlink_to(kit.bundle / WHEELS)
        for name, text in files.items():
            path = tmp_path / "image" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "image").mkdir(exist_ok=True)
        options = ["--device", "cpu", "--budget", "600", "--workers", "1"]
        return subprocess.run(
            [sys.executable, script, "--input", root, "--output", tmp_path / "out", *options],
            env={**environment, "PYTHONPATH": str(tmp_path / "image")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1200,
        )

    return run


def metadata(name: str, version: str, *files: str) -> dict[str, str]:
    folder = f"{name}-{version}.dist-info"
    record = "".join(f"{file},,\n" for file in files)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"{folder}/METADATA": text, f"{folder}/RECORD": record}


IMAGES = {
    "its OpenCV needs a library that is not there": (
        {
            **metadata("opencv_python", "4.9.0.80", "cv2/__init__.py"),
            "cv2/__init__.py": "raise ImportError('libGL.so.1: cannot open shared object file')",
        },
        "opencv-python-headless: the image's copy is not used: cv2 cannot be imported: ImportError: libGL",
    ),
    "its YAML was compiled for another numpy": (
        {
            **metadata("PyYAML", "6.0.1", "yaml/__init__.py"),
            "yaml/__init__.py": "raise ValueError('numpy.dtype size changed')",
        },
        "pyyaml: the image's copy is not used: yaml cannot be imported: ValueError: numpy.dtype size changed",
    ),
    "its YAML crashes the interpreter": (
        {
            **metadata("PyYAML", "6.0.1", "yaml/__init__.py"),
            "yaml/__init__.py": "import ctypes; ctypes.string_at(0)",
        },
        "pyyaml: the image's copy is not used: yaml cannot be imported: it crashes the interpreter",
    ),
    "its tifffile is a shell": (
        {**metadata("tifffile", "2026.1.1", "tifffile/__init__.py"), "tifffile/__init__.py": ""},
        "tifffile: the image's copy is not used: tifffile cannot be imported: ModuleNotFoundError",
    ),
}


@pytest.mark.parametrize("image", IMAGES)
def test_a_copy_that_does_not_work_is_replaced_by_the_bundles(run_in, good_run, tmp_path, tools, image):
    files, told = IMAGES[image]
    done = run_in(files)
    assert done.returncode == 0, done.stdout
    report = tools.report_of(tmp_path / "out")
    assert any(problem["what"].startswith(told) for problem in report["problems"]), report["problems"]
    assert [row["row"] for row in report["images"]] == ["rung 1"] * 2
    (name,) = (row["name"] for row in report["install"]["choices"] if row["file"])
    assert told.startswith(name)


def test_a_good_image_gets_nothing_and_metadata_without_a_version_does_not_count(run_in, tmp_path, tools):
    done = run_in({"opencv_python-4.0.dist-info/RECORD": "", "tifffile-1.0.dist-info/INSTALLER": "pip"})
    assert done.returncode == 0, done.stdout
    report = tools.report_of(tmp_path / "out")
    assert report["problems"] == []
    assert report["install"]["tool"] == "nothing"


def test_an_installer_that_cannot_be_killed_gives_way(run_in, difficult_mount, tmp_path, tools):
    """As one that sleeps in a read of a dead mount: signals do not reach it, and it never ends."""
    pid = tmp_path / "pid"
    stuck = tmp_path / "bin" / "uv"
    stuck.parent.mkdir()
    stuck.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 1000\n")
    stuck.chmod(0o755)
    path = f"{stuck.parent}{os.pathsep}{os.environ['PATH']}"
    files, _ = IMAGES["its tifffile is a shell"]
    try:
        done = run_in(files, {**difficult_mount(tmp_path / "absent", no_kill=1), "PATH": path}, stuck=4.0)
        assert Path(f"/proc/{pid.read_text().strip()}").exists(), "it was killed"
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    assert done.returncode == 0, done.stdout
    report = tools.report_of(tmp_path / "out")
    assert any("uv did not finish: it stood still for" in item["what"] for item in report["problems"])
    first, second = report["install"]["installers"]
    assert (first["tool"], second["tool"], second["error"]) == ("uv", report["install"]["tool"], None)
    assert "it stood still for" in first["error"]
    assert [row["row"] for row in report["images"]] == ["rung 1"] * 2
