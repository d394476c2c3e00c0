import random

import numpy as np
import pytest
import torch

from kit.errors import KitError
from train_local import checkpoint


def state(step):
    return {"step": step, "tensor": torch.full((3,), float(step)), "random": checkpoint.random_state()}


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    assert checkpoint.load(tmp_path, identity="run") is None
    for step in (1, 2, 3, 10):
        checkpoint.save(tmp_path, step, state(step), identity="run")
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["step-00000003.pt", "step-00000010.pt"]
    loaded = checkpoint.load(tmp_path, identity="run")
    assert loaded["step"] == 10
    assert torch.equal(loaded["tensor"], torch.full((3,), 10.0))


def test_generators_go_on_where_they_were(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), identity="run")
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002 - the global generator is meant
    checkpoint.set_random_state(checkpoint.load(tmp_path, identity="run")["random"])
    assert drawn == [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002 - the same


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step), identity="run")
    newest = tmp_path / "step-00000002.pt"
    newest.write_bytes(newest.read_bytes()[:-7])
    assert checkpoint.load(tmp_path, identity="run")["step"] == 1
    assert "checkpoint of step 2 cannot be used" in capsys.readouterr().err


def test_one_without_its_json_does_not_count(tmp_path):
    for step in (1, 2):
        checkpoint.save(tmp_path, step, state(step), identity="run")
    (tmp_path / "step-00000002.pt.json").unlink()
    assert checkpoint.load(tmp_path, identity="run")["step"] == 1


def test_nothing_usable_is_an_error_that_says_what_to_do(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), identity="run")
    with pytest.raises(KitError, match="checkpoint belongs to another run"):
        checkpoint.load(tmp_path, identity="other")
    path = tmp_path / "step-00000001.pt"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(KitError, match="none of the 1 checkpoints can be used") as error:
        checkpoint.load(tmp_path, identity="run")
    assert "delete it to train from the start" in str(error.value)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, state(1), identity="run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KitError, match=r"cannot write step-00000002\.pt: No space left on device") as error:
        checkpoint.save(tmp_path, 2, state(2), identity="run")
    assert "free space" in str(error.value)
    assert checkpoint.load(tmp_path, identity="run")["step"] == 1
