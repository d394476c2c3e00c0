"""The text of install.py: small, equal for equal bundles, made of the modules that predict.py carries."""

import shutil
from pathlib import Path

import pytest

from kit.errors import KitError
from submission.installer.render import dataset_in, render
from submission.modules import collect, source_root

ROOT = Path(__file__).parents[3]
LIMIT = 140_000


def parts_of(script):
    space = {"__name__": "not main"}
    exec(compile(script.read_text(), "install.py", "exec"), space)
    return space["PARTS"]


def test_it_is_small_and_carries_nothing_of_ensembles_images_or_networks(bundle):
    script = bundle / "install.py"
    assert script.stat().st_size < LIMIT
    modules = {path for path in parts_of(script) if path.endswith(".py")}
    foreign = (
        "kit/local",
        "kit/models",
        "kit/images",
        "kit/competitions",
        "kit/plan",
        "submission/runtime/work",
    )
    assert not [path for path in modules if path.startswith(foreign)]
    assert "submission/runtime/main.py" not in modules


def test_the_code_is_the_one_of_predict_py(bundle):
    of_predict = {module.path for module in collect(source_root(), "submission.runtime.main")}
    modules = {path for path in parts_of(bundle / "install.py") if path.endswith(".py")}
    shared = {path for path in modules if path.startswith("submission/runtime/inputs/")}
    names = {Path(path).stem for path in shared}
    assert {
        "mounts",
        "restore",
        "archives",
        "install",
        "packages",
        "wheels",
        "import_check",
        "verdict",
    } <= names
    assert shared <= of_predict
    own = modules - of_predict - {"kit/requested.py", "submission/runtime/script/importer.py"}
    assert all(path.startswith("submission/runtime/installer/") for path in own)


def test_predict_py_carries_nothing_of_the_installer():
    entries = (
        "submission.runtime.main",
        "submission.runtime.script.importer",
        "submission.runtime.server.entry",
    )
    paths = [module.path for module in collect(source_root(), *entries)]
    assert not [path for path in paths if "installer" in path or path == "kit/requested.py"]


def test_equal_bundles_give_equal_bytes(bundle, tmp_path):
    first = render(bundle, tmp_path / "a" / "install.py")
    second = render(bundle / "tiny-wheels", tmp_path / "b" / "install.py")
    assert first.script.read_bytes() == second.script.read_bytes() == (bundle / "install.py").read_bytes()
    assert first.notebook.read_bytes() == second.notebook.read_bytes()


def test_a_folder_without_such_a_bundle_or_with_several_is_refused(bundle, tmp_path):
    with pytest.raises(KitError, match="there is no bundle of wheels alone"):
        dataset_in(tmp_path)
    for name in ("one", "two"):
        shutil.copytree(bundle / "tiny-wheels", tmp_path / name)
    with pytest.raises(KitError, match="there are 2 bundles of wheels: one, two"):
        dataset_in(tmp_path)
