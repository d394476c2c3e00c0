import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bundle import weights
from kit import ensemble
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local import safetensors_header


def with_header(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tensor(start, end, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def test_the_metadata_of_an_intact_file_is_returned(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"x": np.zeros((2, 3), np.float16), "flag": np.ones(5, bool), "empty": np.zeros((0, 4))}
    save_file(tensors, path, metadata={"fold": "1"})
    assert safetensors_header.check(path) == {"fold": "1"}


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({"a": tensor(0, 8), "b": tensor(12, 20)}, 20, "tensor b starts at 12, expected 8"),
        ({"a": tensor(0, 8), "b": tensor(4, 12)}, 12, "tensor b starts at 4, expected 8"),
        ({"a": tensor(0, 8)}, 9, "its tensors fill 8 bytes, the file holds 9"),
        ({"a": tensor(0, 8)}, 7, "its tensors fill 8 bytes, the file holds 7"),
        ({"a": tensor(0, 4)}, 4, "tensor a (F32 2) has 4 bytes"),
        ({"a": tensor(0, 8, dtype="F33")}, 8, "tensor a is described by"),
        ({"a": {"dtype": "F32"}}, 8, "tensor a is described by"),
        ({}, 0, "it holds no tensors"),
        ([], 0, "it ends inside its header"),
    ],
)
def test_a_header_that_does_not_fit_the_file_is_refused_with_the_tensor(tmp_path, header, size, message):
    path = with_header(tmp_path / "a.safetensors", header, bytes(size))
    with pytest.raises(KitError) as error:
        safetensors_header.check(path)
    assert message in str(error.value)
    assert "a.safetensors" in str(error.value)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip", b"\xff" * 40, struct.pack("<Q", 100) + b"{}"])
def test_what_is_no_safetensors_at_all_is_refused(tmp_path, data):
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(KitError, match="not a complete safetensors file"):
        safetensors_header.check(path)


@settings(max_examples=200)
@given(position=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 40))
def test_a_damaged_file_gives_a_clear_error_or_is_one_safetensors_takes_too(
    tmp_path_factory, position, byte, cut
):
    folder = tmp_path_factory.getbasetemp()
    intact = folder / "intact.safetensors"
    if not intact.exists():
        save_file({"x": np.arange(6, dtype=np.float32), "y": np.zeros((2, 2), np.float16)}, intact)
    data = bytearray(intact.read_bytes())
    data[position % len(data)] = byte
    damaged = folder / "damaged.safetensors"
    damaged.write_bytes(bytes(data[: len(data) - cut]))
    try:
        safetensors_header.check(damaged)
    except KitError as error:
        assert "not a complete safetensors file" in str(error)  # noqa: PT017 - either outcome is right
    else:
        try:
            with safe_open(damaged, "numpy") as file:
                file.keys()
        except SafetensorError as error:
            pytest.fail(f"accepted here, refused by safetensors: {error}")


def test_weights_are_shipped_under_names_that_survive(make_ensemble):
    source = make_ensemble(names=("a+b.safetensors", "a=b.safetensors", "plain.safetensors"))
    plan = ensemble.load(source)
    checked = weights.check_all(plan, source)
    names = [item.name for item in checked]
    assert names[0] == "a-b.safetensors"
    assert names[1].endswith("-a-b.safetensors")
    assert names[2] == "plain.safetensors"
    assert [member.weights for member in weights.effective(plan, checked).members] == names
    assert checked[0].run["config"] == {"recipe": "small", "fold": 0}
    assert checked[0].run["metrics"] == {"dice": 0.5}


def test_each_file_of_weights_is_read_once(make_ensemble, monkeypatch):
    source = make_ensemble(names=("a.safetensors", "b.safetensors"))
    read = []
    monkeypatch.setattr(weights, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    weights.check_all(ensemble.load(source), source)
    assert read == ["a.safetensors", "b.safetensors"]


def test_weights_without_a_json_beside_them_ship_without_a_history(make_ensemble):
    source = make_ensemble()
    (source.parent / "weights" / "a.safetensors.json").unlink()
    [checked] = weights.check_all(ensemble.load(source), source)
    assert checked.run is None


def test_missing_changed_and_foreign_weights_are_told_apart(make_ensemble, change_json):
    source = make_ensemble()
    plan = ensemble.load(source)
    path = source.parent / "weights" / "a.safetensors"

    change_json(path.with_name("a.safetensors.json"), kind="dataset")
    with pytest.raises(KitError, match=r"this JSON does not describe the weights a\.safetensors"):
        weights.check_all(plan, source)

    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(KitError, match="are not those with which the ensemble was tuned") as error:
        weights.check_all(plan, source)
    assert plan.members[0].sha256 in str(error.value)

    path.unlink()
    with pytest.raises(KitError, match=r"the weights of small\.fold0 are missing"):
        weights.check_all(plan, source)
