"""The table of contents lists what exists: no stub, nothing missing."""

import ast
import subprocess
import sys
from pathlib import Path

from kit import competitions
from train_local import recipes

ROOT = Path(__file__).parents[1]


def constant(name):
    for node in ast.parse((ROOT / "noxfile.py").read_text()).body:
        if isinstance(node, ast.Assign) and [
            target.id for target in node.targets if isinstance(target, ast.Name)
        ] == [name]:
            return ast.literal_eval(node.value)
    raise AssertionError(f"noxfile.py assigns no {name}")


def test_every_recipe_has_its_session():
    assert constant("RECIPES") == {name: recipes.get(name).competition for name in recipes.names()}


def test_every_competition_can_be_named():
    assert sorted(constant("COMPETITIONS")) == sorted(competitions.names())


def test_every_module_run_by_a_session_answers_to_help():
    text = (ROOT / "noxfile.py").read_text()
    for module in ("train_local", "bundle", "submission", "kit"):
        assert f'"{module}"' in text
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "usage:" in done.stdout
