import json
import sys

from submission.imports import imported


def of(text: str) -> dict[str, set[str]]:
    return {name: set(names) for name, names in imported({"kit/a.py": text}).items()}


def test_modules_and_the_names_that_are_used():
    text = """
import os, cv2
import numpy as np
import torch.nn.functional as F
from safetensors.torch import load_file, save as keep
from kit.errors import KitError

def f(os):
    from mmdet.models import build_detector
    return cv2.resize(np.zeros(3), F.relu, os.path)
"""
    assert of(text) == {
        "cv2": {"resize"},
        "numpy": set(),
        "torch.nn.functional": set(),
        "safetensors.torch": {"load_file", "save"},
        "mmdet.models": {"build_detector"},
    }


def test_what_a_module_does_without_is_left_out():
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import torch
else:
    import other
try:
    import orjson
except ImportError:
    orjson = None
with contextlib.suppress(ImportError):
    import extra
try:
    import tifffile
except ImportError as error:
    raise KitError("no tifffile") from error
"""
    assert set(of(text)) == {"other", "tifffile"}


def test_the_engine_and_a_network_name_their_libraries(kit_of_two):
    space = {"__name__": "not main"}
    exec(compile(kit_of_two.script.read_text(), "predict.py", "exec"), space)
    found = json.loads(space["PARTS"]["imports.json"])
    assert {"torch", "numpy", "cv2", "tifffile", "imagecodecs", "segmentation_models_pytorch"} <= set(found)
    assert "Unet" in found["segmentation_models_pytorch"]
    assert {"resize", "cvtColor"} <= set(found["cv2"])
    assert not set(found) & {*sys.stdlib_module_names, "kit", "submission"}
