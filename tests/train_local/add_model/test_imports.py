"""Every import of a model's file is declared and locked, or it is told which is not."""

from pathlib import Path

import pytest

from kit.errors import KitError
from submission.runtime.inputs.package_plan import ENGINE
from train_local.add_model.imports import ALWAYS, check_imports

LOCK = Path(__file__).parents[3] / "requirements.lock"


def check(text, requires=(), *, module="team_model", beside=Path("place"), lock=LOCK):
    check_imports({f"{module}.py": text.encode()}, module, requires, lock, beside)


def test_every_member_has_what_predict_py_s_plan_gives_it():
    assert set(ALWAYS) == set(ENGINE)


def test_what_is_always_there_and_what_is_declared_passes():
    check("import torch, math\nfrom torchvision.ops import nms\nimport cv2\nimport team_model.parts")
    check("def f():\n    import timm.layers", ["timm"])
    check("import segmentation_models_pytorch, timm", ["segmentation-models-pytorch"])


@pytest.mark.parametrize(
    ("text", "requires", "told", "line"),
    [
        ("import torch\nimport timm", (), "requires timm", 2),
        ("import pickle", (), "pickle", 1),
        ("import kit.models", (), "imports kit", 1),
        ("x = 1\nfrom bundle import build", (), "imports bundle", 2),
        ("import not_there_at_all", (), "not_there_at_all", 1),
        ("def f(:\n", (), "no Python", 1),
    ],
)
def test_what_kaggle_would_not_have_is_told_with_its_line(text, requires, told, line):
    with pytest.raises(KitError) as caught:
        check(text, requires)
    assert told in caught.value.problem
    assert caught.value.where == f"place/team_model.py:{line}"
    assert caught.value.fix


def test_a_distribution_that_the_lock_lacks_is_told():
    with pytest.raises(KitError) as caught:
        check("import torch", ["not-in-the-lock"])
    assert caught.value.where == str(LOCK)
    assert "requirements.in" in caught.value.fix


def test_a_package_of_one_s_own_may_come_from_a_foreign_source(tmp_path, capsys):
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK.read_text())
    (tmp_path / "foreign.in").write_text("./my_layers\n")
    check("import torch", ["my-layers"], lock=lock)
    assert "my-layers is not in the lock" in " ".join(capsys.readouterr().err.split())


def test_a_file_beside_it_would_not_travel(tmp_path):
    (tmp_path / "helpers.py").touch()
    with pytest.raises(KitError, match="lies beside it"):
        check("import helpers", beside=tmp_path)


@pytest.mark.parametrize("module", ["random", "timm", "kit", "my-model"])
def test_a_name_that_python_would_take_for_another_module_is_refused(module):
    with pytest.raises(KitError) as caught:
        check("import torch", module=module)
    assert "another name" in caught.value.fix
