"""Weights in another number format: the values, the bytes, what does not fit."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bundle import cast as casting
from bundle.cast import cast
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.models import build, load_weights, tiny


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(1)
    tensors = {
        "stem.weight": torch.randn(7, 3, 3, 3),
        "stem.bias": torch.randn(7).double(),
        "norm.running_var": torch.tensor([70_000.0, 1.0, 2.0]),
        "norm.num_batches_tracked": torch.tensor(12),
        "table": torch.arange(5),
        "already.weight": torch.randn(3).half(),
        "empty": torch.zeros(0, 4),
    }
    save_file(tensors, tmp_path / "a.safetensors", metadata={"identity": "x", "fold": "1"})
    return tmp_path / "a.safetensors"


def made(source, dtype, cache):
    return cast(source, sha256_file(source), dtype, cache)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("block", [16, 1 << 22])
def test_floating_point_is_rounded_as_torch_does_and_everything_else_stays(
    source, tmp_path, monkeypatch, dtype, block
):
    monkeypatch.setattr(casting, "_BLOCK", block)
    before, after = load_file(source), load_file(made(source, dtype, tmp_path / "cache"))
    kept = {"norm.running_var", "norm.num_batches_tracked", "table"}
    assert before.keys() == after.keys()
    for name, value in before.items():
        expected = value if name in kept else value.to(getattr(torch, dtype))
        assert after[name].dtype == expected.dtype
        assert torch.equal(after[name], expected)
    with safe_open(made(source, dtype, tmp_path / "cache"), "pt") as file:
        assert file.metadata() == {"identity": "x", "fold": "1"}


def test_equal_sources_give_equal_bytes_and_are_cast_once(source, tmp_path):
    first, again = (made(source, "float16", tmp_path / name) for name in ("one", "two"))
    assert first.read_bytes() == again.read_bytes()
    inode = first.stat().st_ino
    assert made(source, "float16", tmp_path / "one").stat().st_ino == inode
    # A damaged file of a former run is made again.
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    assert made(source, "float16", tmp_path / "one").read_bytes() == again.read_bytes()


def test_a_file_of_that_format_is_left_as_it_is(source, tmp_path):
    half = made(source, "float16", tmp_path / "cache")
    assert made(half, "float16", tmp_path / "cache") == half


@pytest.mark.parametrize(
    ("value", "message"), [(70_000.0, "cannot hold .*70000"), (float("nan"), "no finite")]
)
def test_what_the_format_cannot_hold_is_named_with_its_tensor(tmp_path, value, message):
    save_file({"head.weight": torch.tensor([1.0, value])}, tmp_path / "a.safetensors")
    with pytest.raises(KitError, match=f"(?s){message}") as caught:
        made(tmp_path / "a.safetensors", "float16", tmp_path / "cache")
    assert "head.weight" in caught.value.problem
    assert not list((tmp_path / "cache").glob("*.safetensors"))
    if value == 70_000.0:
        assert "bfloat16" in caught.value.fix
        made(tmp_path / "a.safetensors", "bfloat16", tmp_path / "cache")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_network_loads_them_into_float32(make_ensemble, tmp_path, network_state, dtype):
    source = make_ensemble().parent / "weights" / "a.safetensors"
    module = build(tiny("segformer-b0"))
    load_weights(module, made(source, dtype, tmp_path / "cache"))
    for name, value in module.network.state_dict().items():
        before = torch.from_numpy(network_state[name])
        assert value.dtype == before.dtype
        if name.rpartition(".")[2] not in {"running_mean", "running_var", "num_batches_tracked"}:
            before = before.to(getattr(torch, dtype)).to(before.dtype)
        assert torch.equal(value, before)
