"""Small files that unpack to much more than their network can need, and the limits of the worker."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.errors import KitError
from kit.local.pretrained import limited
from kit.local.pretrained.conversion import convert
from kit.local.pretrained.matching import shapes, unpacked_limit
from kit.local.pretrained.read import opened
from kit.models import tiny
from tests.kit.local.pretrained.reading import read_tensors

ROOT = Path(__file__).parents[4]
NAME = "segformer-b0"
LIMIT = unpacked_limit(shapes(tiny(NAME)))
ZEROS = bytes(1 << 20)


def write_zeros(archive, name, size):
    """Write a member of `size` zero bytes, which deflate makes a thousand times smaller."""
    with archive.open(name, "w") as member:
        write_zeros_into(member, size)


def write_zeros_into(member, size):
    for _ in range(size >> 20):
        member.write(ZEROS)


def npz(path, shape):
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("decode_head.conv_seg.bias.npy", "w") as member,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        write_zeros_into(member, min(shape[0], 400 << 20))
    return path


def test_the_limit_is_what_a_checkpoint_of_the_network_can_need():
    weights = sum(
        value.numel() * value.element_size() for value in shapes({"network": "segformer-b5"}).values()
    )
    limit = unpacked_limit(shapes({"network": "segformer-b5"}))
    assert 8 * weights < limit < 8 * weights + (1 << 29)
    assert LIMIT < 300 << 20


def test_arrays_that_unpack_to_more_are_not_unpacked(tmp_path):
    path = npz(tmp_path / "bomb.npz", (400 << 20,))
    assert path.stat().st_size < 2 << 20
    with (
        pytest.raises(KitError, match=r"was not unpacked: .*conv_seg.* has 400 MiB unpacked") as error,
        opened(path, limit=LIMIT) as value,
    ):
        value["decode_head.conv_seg.bias"].load()
    assert str(path) in str(error.value)
    assert "may have 2" in str(error.value)
    with pytest.raises(KitError, match="fills 0"):
        convert(path, tiny(NAME), tmp_path / "out.safetensors", among=[])


def test_a_header_that_claims_more_than_its_member_has_is_refused(tmp_path):
    path = tmp_path / "claim.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(ZEROS)
    with pytest.raises(KitError, match=r"has 1048576 bytes for uint8 \(1099511627776,\)"):
        read_tensors(path)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_packed_checkpoint_that_unpacks_to_more_fills_no_disk(tmp_path, depth):
    path = tmp_path / "bomb.pth.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write_zeros(archive, "net.pth", 400 << 20)
    if depth == 2:
        outer = tmp_path / "outer.pth.zip"
        with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "inner.pth")
        path.unlink()
        path = outer
    with pytest.raises(KitError, match=r"was not unpacked: net\.pth has 400 MiB unpacked") as error:
        convert(path, tiny(NAME), tmp_path / "out.safetensors")
    assert str(path) in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_zip_archives_are_unpacked_two_deep_only(tmp_path):
    inner = tmp_path / "net.pth"
    torch.save({"a": torch.ones(2)}, inner)
    for _ in range(3):
        packed = tmp_path / "packed.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(inner, "net.pth")
        packed.replace(inner)
    with pytest.raises(KitError, match="a zip archive with 1 checkpoint, not"):
        read_tensors(inner)


def test_a_storage_that_unpacks_to_more_is_not_read(tmp_path):
    plain, path = tmp_path / "plain.pth", tmp_path / "bomb.pth"
    state = {name: torch.zeros(value.shape) for name, value in shapes(tiny(NAME)).items()}
    big = torch.zeros(100 << 20)  # 400 MiB, of which a view of the right shape is taken
    first = "decode_head.conv_seg.weight"
    state[first] = big[: state[first].numel()].view(state[first].shape)
    torch.save(state, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    plain.unlink()
    assert path.stat().st_size < 4 << 20
    with pytest.raises(KitError, match=r"was not unpacked: .* has 400 MiB unpacked"):
        convert(path, tiny(NAME), tmp_path / "out.safetensors")


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors", "net.pth"])
def test_too_little_memory_is_told_with_the_file(tmp_path, name):
    program = """
import json, resource, sys
from pathlib import Path
import torch
from kit.errors import KitError
from tests.kit.local.pretrained.reading import read_tensors
path = Path(sys.argv[1])
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), used + (200 << 20)))
try:
    read_tensors(path)
except KitError as error:
    print(error)
"""
    path = tmp_path / name
    tensor = torch.zeros(75 << 20)
    if name.endswith(".npz"):
        np.savez(path, a=tensor.numpy())
    elif name.endswith(".pth"):
        torch.save({"a": tensor}, path)
    else:
        from safetensors.torch import save_file

        save_file({"a": tensor}, path)
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout
    assert "fix:" in done.stdout


def test_the_worker_limits_itself(tmp_path):
    program = """
import json, resource
from kit.local.pretrained.worker import limit
limit(100 << 20, 40 << 20)
print(json.dumps([resource.getrlimit(kind)[0] for kind in (
    resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    memory, seconds, file, core = json.loads(done.stdout)
    assert 4 << 30 < memory < 64 << 30
    assert 120 <= seconds <= 300
    assert (file, core) == (164 << 20, 0)


def test_the_same_conversion_in_a_process_of_its_own_gives_the_same_bytes(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"model": {name: torch.ones(value.shape) for name, value in shapes(tiny(NAME)).items()}}, path)
    here = convert(path, tiny(NAME), tmp_path / "here.safetensors")
    there = limited.convert(path, tiny(NAME), tmp_path / "there.safetensors")
    assert (tmp_path / "here.safetensors").read_bytes() == (tmp_path / "there.safetensors").read_bytes()
    assert (here.taken, here.share, list(here.loaded)) == (there.taken, there.share, list(there.loaded))
    with pytest.raises(KitError, match="the checkpoint is missing"):
        limited.convert(tmp_path / "absent.pth", tiny(NAME), tmp_path / "out.safetensors")
    with pytest.raises(KitError, match="no network is called 'segformer-b9'"):
        limited.convert(path, {"network": "segformer-b9"}, tmp_path / "out.safetensors")
