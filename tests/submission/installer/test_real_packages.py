"""Packages of the real index, one of them compiled: built into a bundle, installed offline, imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from bundle.requirements.verb import Options, build
from kit.errors import KitError
from submission.installer.render import render
from tests.submission.installer.conftest import TARGETS

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_what_the_index_has_is_imported_offline(offline, mounted, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("pyyaml>=6  # compiled\naddict\nterminaltables\nnumpy>=1.26\n")
    places = {"requirements": path, "out": tmp_path / "out", "cache": ROOT / "build" / "wheels"}
    try:
        made = build(Options(**places, name="real-wheels", targets=TARGETS))
    except KitError as error:
        if "cannot be reached" in error.problem:
            pytest.skip(error.problem)
        raise
    assert {item.name: item.modules for item in made.requested.asked} == {
        "addict": ["addict"],
        "pyyaml": ["yaml"],
        "terminaltables": ["terminaltables"],
    }
    script = render(tmp_path / "out", tmp_path / "out" / "install.py").script
    root = mounted(dataset=made.folder, archives="packed")
    place, image = tmp_path / "packages", tmp_path / "image"
    subprocess.run([sys.executable, "-m", "venv", image], check=True)  # this machine's Python may have them
    python = image / "bin" / "python"
    done = offline(python, script, "--input", root, "--folder", place)
    assert done.code == 0, done.out + done.err
    assert "imported    addict, yaml, terminaltables" in done.out
    show = "import yaml; print(yaml.safe_load('[1, 2]'), yaml.__with_libyaml__, yaml.__file__)"
    shown = offline(python, "-c", show, PYTHONPATH=str(place))
    assert shown.out == f"[1, 2] True {place}/yaml/__init__.py\n", shown.err
