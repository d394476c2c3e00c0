"""The gate's own parts; the gate over a whole bundle is a session, because it needs torch for each Python."""

import importlib.metadata
import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bundle import __main__ as cli
from bundle import gate
from bundle.packages.mmcv_portable import _ext
from bundle.wheelfile import write_wheel
from kit import manifest, requested
from kit.artefacts import write_json
from kit.errors import KitError
from kit.local import targets
from kit.local.offline.simulated_image import Image
from kit.local.program import run_cli
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.manifest import Manifest
from kit.requested import Asked, Requested
from kit.typed_json import to_plain

PROGRAM = Path(gate.__file__).with_name("gate_program.py")
OPERATORS = set(_ext.__all__) - {"get_compiler_version", "get_compiling_cuda_version"}


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in folder.rglob("*/"):
        (path / "__init__.py").touch()


@pytest.fixture
def site(tmp_path):
    """A wheel of two modules and a compiled-looking one, installed by uv."""
    wheel = tmp_path / "tool-1.0-py3-none-any.whl"
    files = {
        "tool/__init__.py": b"import needed_by_tool\n",
        "single.py": b"VALUE = 1\n",
        "tool_data/readme.txt": b"no package",
        "tool-1.0.dist-info/METADATA": b"Metadata-Version: 2.4\nName: tool\nVersion: 1.0\n\n",
        "tool-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    write_wheel(wheel, files, dist_info="tool-1.0.dist-info")
    place = tmp_path / "site"
    command = [find_uv(), "pip", "install", "--quiet", "--offline", "--target", place, wheel]
    subprocess.run([*command, "--python", sys.executable], env=tool_environment(), check=True)
    return place


def attempt(site, code, tmp_path, *more):
    result = tmp_path / "result.json"
    command = [sys.executable, "-P", "-S", PROGRAM, site, code, result, *more]
    subprocess.run(command, check=True, cwd=tmp_path)
    return json.loads(result.read_text())


def test_whatever_cannot_be_imported_is_named_with_its_reason_and_place(site, tmp_path):
    code = tmp_path / "code"
    write(
        code,
        {
            "kit/fine.py": "import json",
            "kit/part/broken.py": "\n\nimport not_in_the_bundle",
            "kit/__main__.py": "raise SystemExit('never imported')",
            "submission/runtime/ends.py": "raise SystemExit(3)",
        },
    )
    seen = attempt(site, code, tmp_path)
    assert seen["failed"].keys() == {"kit.part.broken", "submission.runtime.ends", "tool of tool"}
    assert "No module named 'not_in_the_bundle'" in seen["failed"]["kit.part.broken"]
    assert seen["failed"]["kit.part.broken"].endswith("broken.py:3)")
    assert "needed_by_tool" in seen["failed"]["tool of tool"]
    assert seen["networks"] == [], "networks are not tried before the imports work"
    assert seen["modules"] == 7


def test_what_lies_in_a_namespace_is_imported_too(tmp_path):
    """Packages below a folder without __init__.py, and modules of a wheel that has no package at all."""
    wheels = {
        "models": {
            "team/models/__init__.py": b"import not_there",
            "team/models/net.py": b"",
            "bin/run.py": b"",
        },
        "loose": {"team/loose/net.py": b"raise ValueError('seen')", "share/notes.py": b"raise SystemExit"},
    }
    for name, files in wheels.items():
        info = f"{name}-1.0.dist-info"
        about = {f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n\n".encode()}
        wheel = tmp_path / f"{name}-1.0-py3-none-any.whl"
        write_wheel(wheel, {**files, **about}, dist_info=info)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path / "site")
    seen = attempt(tmp_path / "site", tmp_path / "code", tmp_path)
    assert seen["failed"].keys() == {"team.models of models", "team.loose.net of loose"}
    assert "ValueError: seen" in seen["failed"]["team.loose.net of loose"]


def test_of_a_bundle_of_wheels_alone_what_it_was_asked_for_is_imported(site, tmp_path):
    (tmp_path / "code").mkdir()
    seen = attempt(site, tmp_path / "code", tmp_path, json.dumps(["single"]))
    assert (seen["failed"], seen["modules"], seen["networks"]) == ({}, 1, None)
    seen = attempt(site, tmp_path / "code", tmp_path, json.dumps(["single", "tool"]))
    assert seen["failed"].keys() == {"tool"}
    assert "needed_by_tool" in seen["failed"]["tool"]


@pytest.mark.parametrize("module", ["noisy", "noisy_and_broken"])
def test_warnings_of_libraries_are_shown_only_if_something_failed(tmp_path, capfd, module):
    stage, site, mounted = (tmp_path / name for name in ("stage", "site", "mounted"))
    noise = "import warnings\nwarnings.warn('old interface')\nprint('loaded')\n"
    write(site, {"noisy.py": noise, "noisy_and_broken.py": noise + "import no_such_module\n"})
    own = "cp" + "".join(platform.python_version_tuple()[:2])
    asked = Asked(name="noisy", wanted="", where="a test", modules=[module], tags=[own])
    for folder in (stage, mounted):
        folder.mkdir()
    write_json(mounted / requested.NAME, Requested(asked=[asked], of_image=[]).as_dict())
    image = Image(target="bare", python=Path(sys.executable), version=platform.python_version(), packages={})
    seen, ran, _ = gate.tried(image, stage, site, mounted, [])
    told = capfd.readouterr()
    assert "old interface" in ran.text
    if module == "noisy":
        assert (seen["failed"], told.out, told.err) == ({}, "", "")
    else:
        assert "no_such_module" in seen["failed"][module]
        assert "old interface" in told.err
        assert "loaded" in told.err


def test_a_bare_image_has_what_no_bundle_ships_and_nothing_else():
    (target,) = targets.choose(["kaggle-2026-10"], targets.known())
    assert gate.bare(target).image_has == {"numpy": None, "torch": "2.11.0", "torchvision": None}
    assert gate.bare(target).name != target.name


@pytest.mark.parametrize(
    ("python", "image", "torch"),
    [
        # On this machine Python 3.11 has another torch than Kaggle's image: local-cp311 does not count.
        ("3.11", "kaggle-cp311-torch2.8", "2.8.0"),
        ("3.12", "kaggle-2026-09-torch2.11", "2.11.0"),
        ("3.13", "kaggle-2026-10", "2.11.0"),
    ],
)
def test_each_python_is_tried_with_the_torch_of_kaggles_newest_image(python, image, torch):
    found = gate._image_of(python, targets.known())
    assert (found.name, found.torch) == (image, torch)
    assert gate.bare(found).image_has["torch"] == torch


def test_the_image_of_a_python_is_the_newest_of_kaggles_and_that_of_gpu_sessions(tmp_path):
    (like,) = targets.choose(["kaggle-2026-10"], targets.known())
    for name, since, accelerator in (
        ("a", "2027-01", "cpu"),
        ("b", "2027-01", "gpu"),
        ("z", "2026-12", "gpu"),
        ("zz-local", "2027-02", None),
    ):
        other = {"name": name, "since": since, "accelerator": accelerator}
        write_json(tmp_path / f"{name}.json", {**to_plain(like), **other})
    described = targets.known(tmp_path)
    assert gate._image_of("3.13", described).name == "b"
    with pytest.raises(KitError, match=r"no Kaggle image with Python 3\.11 is known"):
        gate._image_of("3.11", described)


COMPILED = """
from mmcv import _portable_ext
from mmcv._portable_ext import *

def nms(*tensors, **options):
    return _portable_ext.nms(*tensors, **options) + 1
"""
"""As a library for this torch would be, with one operator whose numbers are wrong."""
ASK = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import gate_program
seen = []
for site in sys.argv[2:]:
    sys.path.insert(0, site)
    importlib.invalidate_caches()
    seen.append(gate_program.compiled_operators())
    sys.path.remove(site)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmcv"]:
        del sys.modules[name]
print(json.dumps(seen))
"""


def install_mmcv(site, compiled_for):
    """Lay mmcv's operators out as our wheels do: the portable ones alone, or compiled ones over them."""
    packages = Path(gate.__file__).parent / "packages"
    folder = site / "mmcv"
    shutil.copytree(packages / "mmcv_portable", folder, ignore=shutil.ignore_patterns("*.json", "*.md"))
    if compiled_for is not None:
        (folder / "_ext.py").rename(folder / "_portable_ext.py")
        for name in ("_ext.py", "_native_check.py"):
            shutil.copyfile(packages / "mmcv_native" / name, folder / name)
        (folder / f"_native_torch{compiled_for}_cpu.py").write_text(COMPILED)
    return site


def test_compiled_operators_are_counted_and_what_is_left_to_portable_ones_is_told(tmp_path):
    version = "_".join(importlib.metadata.version("torch").split(".")[:2])
    sites = [
        install_mmcv(tmp_path / name, compiled_for)
        for name, compiled_for in (("portable", None), ("compiled", version), ("other", "1_0"))
    ]
    command = [sys.executable, "-W", "ignore", "-c", ASK, PROGRAM.parent, *sites]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    portable, (taken, told), other = json.loads(done.stdout)
    assert portable == [[], []], "a bundle without compiled ones has nothing to tell"
    assert taken == sorted(OPERATORS - {"nms"})
    assert len(told) == 1
    assert "operator nms gives wrong numbers on cpu and is not used" in told[0]
    taken, told = other
    assert taken == []
    assert told[0].startswith("mmcv runs on its portable operators: compiled ones are for torch 1_0_cpu")


def test_a_bundle_that_cannot_be_tried_is_told_as_such(tmp_path, capsys):
    arguments = ["gate", "--bundle", str(tmp_path)]
    assert run_cli(cli.main, arguments) == 2
    assert "there is no dataset of wheels in the bundle" in capsys.readouterr().err
    dataset = tmp_path / "kit-wheels"
    dataset.mkdir()
    (dataset / "pylock.toml").touch()
    manifest.save(dataset, Manifest(dataset="kit-wheels", files=[], targets=["cp312"]))
    with pytest.raises(KitError, match=r"was not built for Python 3\.13: it serves cp312"):
        gate.gate(tmp_path, ["3.13"], images=tmp_path, lock=tmp_path / "no.lock")
    other = shutil.copytree(dataset, tmp_path / "other-wheels")
    with pytest.raises(KitError, match="there are 2 datasets of wheels: kit-wheels, other-wheels"):
        gate.gate(tmp_path, ["3.12"], images=tmp_path, lock=tmp_path / "no.lock")
    manifest.save(other, Manifest(dataset=other.name, files=[], targets=["cp313"]))
    for folder, python, serves in ((other, "3.12", "cp313"), (dataset, "3.13", "cp312")):
        problem = f"was not built for Python {python}: it serves {serves}"
        with pytest.raises(KitError, match=re.escape(problem)):
            gate.gate(folder, [python], images=tmp_path, lock=tmp_path / "no.lock")
        # The command would try one after the other; what does not fit is told before the first.
        assert run_cli(cli.main, [*arguments, "--python", python]) == 2
        told = capsys.readouterr().err
        assert problem in told
        assert str(folder) in told
