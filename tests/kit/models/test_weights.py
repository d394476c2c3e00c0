import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from kit.errors import KitError
from kit.models import build, load_weights, save_weights

CONFIG = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}


@pytest.fixture(scope="module")
def module():
    return build(CONFIG)


@pytest.fixture
def path(module, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(module, path)
    return path


def message(module, path):
    with pytest.raises(KitError) as caught:
        load_weights(module, path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_missing_and_unexpected_names_are_listed(module, path):
    tensors = load_file(path)
    tensors["encoder.nowhere"] = tensors.pop("segmentation_head.0.bias")
    save_file(tensors, path)
    text = message(module, path)
    assert "1 missing (segmentation_head.0.bias)" in text
    assert "1 unexpected (encoder.nowhere)" in text
    assert "config that is stored beside these weights" in text


def test_a_long_list_is_cut_short(module, path):
    save_file({"other": torch.zeros(1)}, path)
    assert ", ...)" in message(module, path)


def test_another_shape_is_told(module, path):
    tensors = load_file(path)
    tensors["segmentation_head.0.bias"] = torch.zeros(7)
    save_file(tensors, path)
    assert "segmentation_head.0.bias (7,) instead of (1,)" in message(module, path)


def test_a_truncated_file_is_told(module, path):
    path.write_bytes(path.read_bytes()[:1000])
    assert "not a readable safetensors file" in message(module, path)


def test_a_missing_file_is_told(module, tmp_path):
    assert "weights are missing" in message(module, tmp_path / "none.safetensors")


def test_what_fp16_cannot_hold_stays_float32(tmp_path):
    module = build(CONFIG)
    bias = module.network.segmentation_head[0].bias
    with torch.no_grad():
        bias.fill_(1e6)
    save_weights(module, tmp_path / "weights.safetensors", half=True)
    again = build(CONFIG)
    load_weights(again, tmp_path / "weights.safetensors")
    assert torch.equal(again.network.segmentation_head[0].bias, bias)


_LOAD = f"""
import sys
from pathlib import Path
from kit.models import build, load_weights
module = build({CONFIG})
load_weights(module, Path(sys.argv[1]))
print(sum(float(value.double().sum()) for value in module.network.state_dict().values()))
"""


@pytest.mark.parametrize(
    "trouble", [{"no_shared": 1}, {"no_maps": 1}, {"bytes": 65536, "faults": 1, "no_maps": 1}]
)
def test_a_mount_that_maps_no_files_is_read(module, path, difficult_mount, trouble):
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(path)],
        env=difficult_mount(path.parent, **trouble),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    expected = sum(float(value.double().sum()) for value in module.network.state_dict().values())
    assert float(done.stdout) == expected


_LOAD_WITH_LITTLE_MEMORY = f"""
import resource, sys
from pathlib import Path
from kit.errors import KitError
from kit.models import build, load_weights
module = build({CONFIG})
import safetensors.torch
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    load_weights(module, Path(sys.argv[1]))
except KitError as error:
    print(type(error.__cause__).__name__, error)
"""


def test_weights_that_do_not_fit_into_memory_are_not_called_damaged(tmp_path):
    path, size = tmp_path / "large.safetensors", 1 << 30
    entry = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    header = json.dumps({"large": entry}).encode()
    with path.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + size)  # a sparse file takes no room
    done = subprocess.run(
        [sys.executable, "-c", _LOAD_WITH_LITTLE_MEMORY, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("MemoryError")
    assert "memory ran out while weights of 1074 MB were read" in done.stdout
    assert str(path) in done.stdout
