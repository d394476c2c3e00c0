"""docs/own-recipe.md: the file on the page is a recipe; `tests/documented` trains its tiny form."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/own-recipe.md"
NAME = "unet-regnety16-wide"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the sources with the page's file in its place."""
    root = tmp_path_factory.mktemp("own-recipe")
    for package in ("kit", "train_local"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", root / "pyproject.toml")
    [(place, text)] = re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    (root / place).write_text(text)
    return root


def run(repository, module, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=repository, env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recipe_is_listed_and_shown_with_what_it_changes(repository):
    assert NAME in run(repository, "train_local", "recipes", "--json")
    shown = json.loads(run(repository, "train_local", "show", NAME, "--json"))
    assert shown["recipe"] == NAME
    assert shown["input"]["crop"] == [768, 768]


def test_diff_prints_what_was_changed_and_no_more(repository):
    told = run(repository, "train_local", "diff", "unet-regnety16", NAME, "--json")
    crops = {f"augment[0].choices[{choice}][0].args.size" for choice in (0, 1)}  # they follow from the crop
    expected = {"input.crop", "input.pad.to", "test.views", *crops}
    assert {item["path"] for item in json.loads(told)} == expected
