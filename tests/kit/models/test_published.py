"""At published size each network is the published one."""

import json
import subprocess
import sys

import pytest
import segmentation_models_pytorch as smp
import torch

from kit.models import build


def shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def listed():
    # These alone: test_full_size.py builds all networks at full size, test_registry.py lists them.
    command = [sys.executable, "-m", "kit.models", "list", "--json", "unet-regnety16", "detectors-r50"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_the_u_net_has_the_size_of_the_published_one(listed):
    assert listed["unet-regnety16"]["parameters"] == 14_488_103
    with torch.device("meta"):
        original = smp.Unet("tu-regnety_016", encoder_weights=None)
        ours = build({"network": "unet-regnety16"})
    assert shapes(ours.network) == shapes(original)


def test_the_list_says_what_each_output_means(listed):
    assert listed["unet-regnety16"]["output"] == "logit"
    assert listed["detectors-r50"]["output"] == "detections"
    assert listed["unet-regnety16"]["size_divisor"] == listed["detectors-r50"]["size_divisor"] == 32
