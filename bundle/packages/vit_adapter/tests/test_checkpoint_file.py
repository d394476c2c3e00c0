"""Files of every kind, whole, damaged and hostile."""

import argparse
import os

import numpy as np
import pytest
import torch
from vit_adapter.checkpoint_file import read_state_dict, state_dict_of

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("ending", [".pth", ".pth.tar", ".bin"])
@pytest.mark.parametrize("container", [None, "state_dict", "model", "module"])
def test_tensors_are_found_in_what_torch_saved(tmp_path, ending, container):
    file = tmp_path / f"weights{ending}"
    content = WEIGHTS if container is None else {"epoch": 3, "meta": {"who": "me"}, container: WEIGHTS}
    torch.save(content, file)
    same(read_state_dict(file), WEIGHTS)
    same(read_state_dict(str(file)), WEIGHTS)


def test_the_prefix_of_data_parallel_training_goes_when_all_names_have_it():
    same(state_dict_of({f"module.{name}": value for name, value in WEIGHTS.items()}), WEIGHTS)
    mixed = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    same(state_dict_of(mixed), mixed)


def test_an_npz_file_gives_its_arrays(tmp_path):
    np.savez(tmp_path / "weights.npz", **{name: value.numpy() for name, value in WEIGHTS.items()})
    same(read_state_dict(tmp_path / "weights.npz"), WEIGHTS)


def test_a_safetensors_file_gives_its_tensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(WEIGHTS, tmp_path / "weights.safetensors")
    same(read_state_dict(tmp_path / "weights.safetensors"), WEIGHTS)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"cut.safetensors is damaged: download it again"):
        read_state_dict(tmp_path / "cut.safetensors")


class Hostile:
    """Makes a folder when unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_code_in_a_torch_file_does_not_run(tmp_path):
    torch.save({"model": WEIGHTS, "extra": Hostile(tmp_path / "run")}, tmp_path / "bad.pth")
    with pytest.raises(
        ValueError, match=r"bad.pth is damaged or holds Python objects besides .* \((posix|nt).mkdir\)"
    ):
        read_state_dict(tmp_path / "bad.pth")
    assert not (tmp_path / "run").exists()


def test_code_in_an_npz_file_does_not_run(tmp_path):
    array = np.array([Hostile(tmp_path / "run")], dtype=object)
    np.savez(tmp_path / "bad.npz", array)
    with pytest.raises(ValueError, match=r"bad.npz is damaged or holds more than arrays of numbers"):
        read_state_dict(tmp_path / "bad.npz")
    assert not (tmp_path / "run").exists()


def test_harmless_objects_are_refused_with_the_way_out(tmp_path):
    torch.save({"model": WEIGHTS, "args": argparse.Namespace(lr=1)}, tmp_path / "args.pth")
    with pytest.raises(ValueError, match=r"text \(argparse.Namespace\), which could run .*no code was run"):
        read_state_dict(tmp_path / "args.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.npz"])
@pytest.mark.parametrize("kept", [0, 10, -20])
def test_a_cut_file_is_called_damaged(tmp_path, name, kept):
    whole = tmp_path / name
    if whole.suffix == ".npz":
        np.savez(whole, a=np.zeros(100))
    else:
        torch.save(WEIGHTS, whole)
    whole.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        read_state_dict(whole)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no checkpoint at .*missing.pth: give the path"):
        read_state_dict(tmp_path / "missing.pth")


def test_what_holds_no_tensors_is_refused(tmp_path):
    torch.save({"model": {"epoch": 3}}, tmp_path / "none.pth")
    with pytest.raises(ValueError, match=r"none.pth holds no tensors; its entries are \['epoch'\]"):
        read_state_dict(tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list.pth holds a list, not a mapping of names to tensors"):
        read_state_dict(tmp_path / "list.pth")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrapped_weights_are_unwrapped(tmp_path, prefix):
    torch.save({"model_state_dict": {f"{prefix}blocks.0.weight": torch.ones(2)}}, tmp_path / "net.pth")
    assert list(read_state_dict(tmp_path / "net.pth")) == ["blocks.0.weight"]


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    torch.save({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"1 tensors have values that are no finite numbers: \['a'\]"):
        read_state_dict(tmp_path / "net.pth")
