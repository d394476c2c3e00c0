"""The gate's own parts; the gate over a whole bundle is a session, because it needs torch for each Python."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bundle import __main__ as cli
from bundle import gate
from bundle.wheelfile import write_wheel
from kit import manifest
from kit.errors import KitError, run_cli
from kit.local import targets
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv
from kit.manifest import Manifest

PROGRAM = Path(gate.__file__).with_name("gate_program.py")


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


def attempt(site, code, tmp_path):
    result = tmp_path / "result.json"
    command = [sys.executable, "-P", "-S", PROGRAM, site, code, result]
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


def test_a_bare_image_has_what_no_bundle_ships_and_nothing_else():
    (target,) = targets.choose(["kaggle-2026-10"], targets.known())
    assert gate.bare(target).image_has == {"numpy": None, "torch": "2.11.0", "torchvision": None}
    assert gate.bare(target).name != target.name


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
