"""Checkpoints in every format they are published in, and what must not be opened."""

import argparse
import io
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kit.errors import KitError
from tests.kit.local.pretrained.reading import read_tensors

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2)}


def same(found, expected=STATE):
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


class Attack:
    """A pickle that writes a file when it is opened."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["since torch 1.6", "before torch 1.6"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "module"])
def test_torch_files_by_any_name(tmp_path, zipped, wrapper):
    path = tmp_path / "published.pth.tar"
    state = {f"module.{name}": value for name, value in STATE.items()}
    torch.save(
        {wrapper: state, "epoch": 12, "meta": {"CLASSES": ("a", "b")}} if wrapper else state,
        path,
        _use_new_zipfile_serialization=zipped,
    )
    same(read_tensors(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_training_scripts_store_beside_the_weights_is_read(tmp_path, zipped):
    path = tmp_path / "deit.pth"
    extras = {
        "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.99)),
        "acc": np.float64(81.3),
        "hist": np.arange(3),
    }
    torch.save({"model": STATE, **extras}, path, _use_new_zipfile_serialization=zipped)
    same(read_tensors(path))


def test_numpy_scalars_of_numpy_1_are_read(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"model": STATE, "acc": np.float64(81.3)}, path)
    old = tmp_path / "numpy1.pth"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core" in old.read_bytes()
    same(read_tensors(old))


def test_a_zip_with_one_checkpoint_in_it(tmp_path):
    inner, packed = tmp_path / "net.pth", tmp_path / "net.pth.zip"
    torch.save({"state_dict": STATE}, inner)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "folder/net.pth")
        archive.writestr("__MACOSX/folder/._net.pth", b"finder")
        archive.writestr("folder/readme.txt", b"hello")
    same(read_tensors(packed))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pth", "net.pth.zip"]
    with zipfile.ZipFile(packed, "a") as archive:
        archive.write(inner, "folder/other.pth")
    with pytest.raises(KitError, match="a zip archive with 2 checkpoints, not with one"):
        read_tensors(packed)


def test_a_packed_name_that_leads_out_of_the_folder_stays_inside(tmp_path):
    inner, packed = tmp_path / "net.pth", tmp_path / "folder" / "net.pth.zip"
    packed.parent.mkdir()
    torch.save(STATE, inner)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(inner, "../../escaped.pth")
    same(read_tensors(packed))
    assert not (tmp_path.parent / "escaped.pth").exists()
    assert not (tmp_path / "escaped.pth").exists()


def test_arrays_of_npz(tmp_path):
    path = tmp_path / "vit.npz"
    np.savez(path, **{"Transformer/norm": np.arange(4, dtype=np.float32)})
    assert torch.equal(read_tensors(path)["Transformer/norm"], torch.arange(4.0))
    np.savez(path, attack=np.array([Attack(tmp_path / "owned")], dtype=object))
    with pytest.raises(KitError, match="Object arrays cannot be loaded"):
        read_tensors(path)
    assert not (tmp_path / "owned").exists()


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / "net.safetensors")
    same(read_tensors(tmp_path / "net.safetensors"))
    (tmp_path / "net.safetensors").write_bytes((tmp_path / "net.safetensors").read_bytes()[:-4])
    with pytest.raises(KitError, match="not a readable safetensors file"):
        read_tensors(tmp_path / "net.safetensors")


def test_the_plain_weights_are_taken_unless_the_mean_is_asked_for(tmp_path):
    path = tmp_path / "ema.pth"
    copies = {"ema_a_weight": STATE["a.weight"] + 1}
    torch.save({"state_dict": {**STATE, **copies}}, path)
    same(read_tensors(path))
    same(read_tensors(path, mean=True), {**STATE, "a.weight": STATE["a.weight"] + 1})
    torch.save({"state_dict": STATE, "state_dict_ema": {"b": torch.zeros(2)}}, path)
    same(read_tensors(path))
    same(read_tensors(path, mean=True), {"b": torch.zeros(2)})


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_named_and_not_run(tmp_path, zipped):
    path, owned = tmp_path / "attack.pth", tmp_path / "owned"
    torch.save({"state_dict": STATE, "x": Attack(owned)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(KitError, match=r"asks for (posix|nt)\.system when it is opened; no code was run"):
        read_tensors(path)
    packed = tmp_path / "attack.pth.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, path.name)
    with pytest.raises(KitError, match=r"asks for (posix|nt)\.system"):
        read_tensors(packed)
    assert not owned.exists()


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_plain_pickle_is_not_opened(tmp_path, protocol):
    path, owned = tmp_path / "attack.pth", tmp_path / "owned"
    path.write_bytes(pickle.dumps({"x": Attack(owned)}, protocol=protocol))
    with pytest.raises(KitError, match=r"was not opened \(it asks for (posix|nt)\.system\)"):
        read_tensors(path)
    assert not owned.exists()
    path.write_bytes(pickle.dumps({"x": 1}, protocol=protocol))
    with pytest.raises(KitError, match="it asks for nothing"):
        read_tensors(path)


def test_a_class_of_somebodys_library_is_refused_by_name(tmp_path):
    path = tmp_path / "own.pth"
    torch.save({"model": STATE, "config": argparse.ArgumentParser}, path)
    with pytest.raises(KitError, match=r"asks for argparse\.ArgumentParser"):
        read_tensors(path)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_truncated_file_is_damaged(tmp_path, zipped, share):
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.rand(5000)}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(KitError, match="not a readable checkpoint") as error:
        read_tensors(path)
    assert "truncated or damaged: fetch or copy it again" in str(error.value)
    assert str(path) in str(error.value)


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "flipped.pth"
    torch.save({"a": torch.rand(5000)}, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(KitError, match=r"the checksum of .* in the file is wrong"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"the file is empty \(0 bytes\)"),
        (b"\x1f\x8b\x08 packed", "packed with gzip \\(unpack it"),
        (b"<!DOCTYPE html><title>sign in</title>", "the file is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "not a checkpoint of a known format"),
        (b"PK\x03\x04 and then nothing", "not a readable checkpoint: File is not a zip file"),
    ],
)
def test_other_files_are_told_for_what_they_are(tmp_path, content, message):
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(KitError, match=message):
        read_tensors(path)


def test_a_file_without_tensors_and_no_file(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "empty.pth")
    with pytest.raises(KitError, match="the file has no named tensors"):
        read_tensors(tmp_path / "empty.pth")
    torch.save(torch.ones(3), tmp_path / "bare.pth")
    with pytest.raises(KitError, match="the file has no named tensors"):
        read_tensors(tmp_path / "bare.pth")
    with pytest.raises(KitError, match="checkpoint is missing"):
        read_tensors(tmp_path / "absent.pth")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(KitError, match="a zip archive with 0 checkpoints"):
        read_tensors(tmp_path / "none.zip")


def test_a_zip_packed_in_a_zip_is_unpacked(tmp_path):
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("net.pth", buffer.getvalue())
    shutil.copy(tmp_path / "outer.zip", tmp_path / "renamed.pth")
    same(read_tensors(tmp_path / "renamed.pth"))
