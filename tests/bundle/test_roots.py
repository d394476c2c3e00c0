import ast
import sys
from pathlib import Path

import pytest

from bundle.roots import BASE_ROOTS, ROOTS
from kit.local import targets

ROOT = Path(__file__).parents[2]
DISTRIBUTION = {
    "cv2": "opencv-python-headless",
    "mmcv": "mmcv-full",
    "mmseg": "mmsegmentation",
    "PIL": "pillow",
    "vit_adapter": "vit-adapter",
    "yaml": "pyyaml",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
}


def third_party_imports():
    """(file, distribution) for each import in what is embedded into predict.py."""
    for path in [*(ROOT / "kit").rglob("*.py"), *(ROOT / "submission" / "runtime").rglob("*.py")]:
        file = path.relative_to(ROOT).as_posix()
        if file.startswith("kit/local/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [item.name for item in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - {"kit", "submission"}:
                if name not in sys.stdlib_module_names:
                    yield file, DISTRIBUTION.get(name, name)


@pytest.mark.parametrize("target", targets.known(), ids=lambda target: target.tag)
def test_whatever_runs_on_kaggle_is_shipped_or_left_to_the_image(target):
    # What a competition's format of images needs, its members require: kit.competitions.image_rules says so.
    shipped = {root.name for root in ROOTS} | {"pydicom"}
    found = list(third_party_imports())
    assert {name for _, name in found} >= {"torch", "mmdet", "safetensors"}
    missing = {
        (file, name) for file, name in found if name not in shipped and not target.leaves_to_image(name)
    }
    assert not missing


@pytest.mark.parametrize("target", targets.known(), ids=lambda target: target.tag)
def test_nothing_but_the_kits_networks_needs_more_than_the_base(target):
    base = {root.name for root in BASE_ROOTS} | {"pydicom"}
    found = [(file, name) for file, name in third_party_imports() if not file.startswith("kit/models/")]
    assert {name for _, name in found} >= {"imagecodecs", "tifffile"}
    assert not {(file, name) for file, name in found if name not in base and not target.leaves_to_image(name)}


def test_each_root_is_listed_once_and_says_who_needs_it():
    assert len({root.name for root in ROOTS}) == len(ROOTS)
    assert all(root.why for root in ROOTS)
