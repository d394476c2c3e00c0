import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local import recipes
from train_local.recipes import registry

ROOT = Path(__file__).parents[3]


def test_names_are_listed_without_any_package():
    script = (
        "import sys; from train_local import recipes; names = recipes.names(), recipes.stage_names();"
        "print(names, {n: recipes.competition_of(n) for n in names[0]});"
        "sys.exit(any(m in sys.modules for m in ('torch', 'numpy', 'kit.models')))"
    )
    # -S: no site-packages, as in the environment of nox
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in (*recipes.names(), *recipes.stage_names()):
        assert repr(name) in done.stdout


def test_recipes_are_made_and_planned_without_what_takes_seconds_to_load():
    script = (
        "import sys; from train_local import recipes; from train_local.jobs import all_jobs;"
        "[recipes.get(name).tiny() for name in recipes.names()];"
        "sys.exit(' '.join({'torchvision', 'torch._dynamo', 'cv2', 'mmcv'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"loaded: {done.stderr}"


def test_every_name_gives_its_recipe_and_stages_belong_to_one():
    made = [recipes.get(name) for name in recipes.names()]
    assert [recipe.name for recipe in made] == recipes.names()
    assert all(recipes.competition_of(recipe.name) == recipe.competition for recipe in made)
    teachers = [recipes.get(name) for name in recipes.teacher_names()]
    stages = {form.earlier_stage.name for form in (*made, *teachers) if form.earlier_stage is not None}
    assert stages == set(recipes.stage_names())
    labels = [part.labels for name in recipes.stage_names() for part in recipes.get(name).data.sets]
    asked = {teacher for item in labels if item is not None for teacher in item.teachers}
    assert set(recipes.teacher_names()) <= asked <= {*recipes.names(), *recipes.teacher_names()}


FILE = '''
"""A family."""
COMPETITION = "kidney"


def big_net():
    return 1


def big_net_stage1():
    return 1


def _helper():
    return 1


class Helper:
    def method(self): ...
'''


def test_public_functions_of_a_file_with_a_competition_are_recipes(tmp_path):
    path = tmp_path / "family.py"
    path.write_text(FILE)
    assert [(entry.name, entry.competition) for entry in registry.read(path)] == [
        ("big-net", "kidney"),
        ("big-net-stage1", "kidney"),
    ]
    path.write_text(FILE.replace("COMPETITION", "OTHER"))
    assert list(registry.read(path)) == []


def test_a_recipe_under_a_wrong_name_is_told(monkeypatch):
    wrong = registry.Entry("unet", "unet_regnety16", "body")
    monkeypatch.setattr(registry, "entries", lambda: {"unet-regnety16": wrong})
    with pytest.raises(KitError, match=r"makes recipe 'unet-regnety16' for kidney, not .* for body") as error:
        recipes.get("unet-regnety16")
    assert "competition=COMPETITION" in str(error.value)
