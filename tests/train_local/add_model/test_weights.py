"""Files of weights: which fold each is of, and how it becomes a run's safetensors."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kit.errors import KitError
from train_local.add_model.weights import Given, check_given, check_names, parse, place_weights


def test_a_fold_follows_the_last_at():
    assert parse("a@b/c.pt@3") == Given(Path("a@b/c.pt"), 3)
    assert parse("c.pt") == Given(Path("c.pt"), None)
    with pytest.raises(KitError, match="no fold"):
        parse("c.pt@first")


def test_a_name_with_an_at_is_no_fold(tmp_path):
    path = tmp_path / "model@best.pt"
    path.touch()
    assert parse(str(path)) == Given(path, None)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ([("absent.pt", 0)], "missing"),
        ([("a.pt", 7)], "no fold 7"),
        ([("a.pt", 0), ("b.pt", None)], "others of none"),
        ([("a.pt", 0), ("b.pt", 0)], "two files are of fold 0"),
    ],
)
def test_files_and_folds_that_do_not_fit_are_refused(tmp_path, blob_data, weights, told):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).touch()
    with pytest.raises(KitError, match=told):
        check_given([Given(tmp_path / name, fold) for name, fold in weights], blob_data)


STATE = {"layer.weight": torch.ones(2, 2), "layer.bias": torch.zeros(2)}


def test_safetensors_are_copied_and_not_linked(tmp_path):
    given, target = tmp_path / "a.safetensors", tmp_path / "run" / "weights.safetensors"
    target.parent.mkdir()
    save_file(STATE, given)
    assert place_weights(given, target, own_loader=False) == (None, 0)
    before = target.read_bytes()
    given.write_bytes(b"trained again")
    assert target.read_bytes() == before


def test_a_state_dict_of_torch_becomes_safetensors(tmp_path):
    tied = STATE["layer.weight"]
    torch.save({**STATE, "again": tied}, tmp_path / "a.pt")
    place_weights(tmp_path / "a.pt", tmp_path / "w.safetensors", own_loader=False)
    found = load_file(tmp_path / "w.safetensors")
    assert sorted(found) == ["again", "layer.bias", "layer.weight"]
    assert torch.equal(found["again"], tied)


def test_a_file_of_its_own_format_travels_as_bytes(tmp_path):
    (tmp_path / "trees.json").write_bytes(b'{"trees": []}')
    found = place_weights(tmp_path / "trees.json", tmp_path / "w.safetensors", own_loader=True)
    assert found == ("trees.json", 13)
    assert bytes(load_file(tmp_path / "w.safetensors")["file"].tolist()) == b'{"trees": []}'


@pytest.mark.parametrize("value", [{"model": STATE, "epoch": 3}, [1, 2], {}])
def test_what_is_no_state_dict_is_told(tmp_path, value):
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(KitError, match="tensors by name"):
        place_weights(tmp_path / "a.pt", tmp_path / "w.safetensors", own_loader=False)


def test_a_pickle_is_not_loaded(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Path("x")))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    for name in ("a.pkl", "module.pt"):
        with pytest.raises(KitError, match="a pickle of objects"):
            place_weights(tmp_path / name, tmp_path / "w.safetensors", own_loader=False)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK"])
def test_a_file_that_is_no_weights_is_told(tmp_path, data):
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(KitError) as caught:
        place_weights(tmp_path / "a.pth", tmp_path / "w.safetensors", own_loader=False)
    assert caught.value.where == str(tmp_path / "a.pth")
    assert caught.value.fix


def test_a_checkpoint_with_one_state_dict_says_how_to_take_it_out(tmp_path):
    torch.save({"state_dict": STATE, "epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(KitError) as caught:
        place_weights(tmp_path / "a.pt", tmp_path / "w.safetensors", own_loader=False)
    assert caught.value.fix.endswith("weights_only=True)['state_dict'], FILE)")


def test_names_of_a_wrapped_module_are_told():
    with pytest.raises(KitError) as caught:
        check_names(Path("a"), ["module.layer.weight", "module.layer.bias"], list(STATE))
    assert "model.module.state_dict()" in caught.value.fix
    check_names(Path("a"), list(STATE), list(STATE))
    check_names(Path("a"), ["other.x"], list(STATE))
