import os
import resource
import signal
import threading

import pytest
import torch

from kit.errors import KitError
from train_local.engine import checkpoint


def state(step):
    return {"step": step, "tensor": torch.full((3,), float(step))}


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    assert checkpoint.load(tmp_path, identity="run") is None
    for step in (1, 2, 3, 10):
        checkpoint.save(tmp_path, step, state(step), identity="run")
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["step-00000003.pt", "step-00000010.pt"]
    loaded = checkpoint.load(tmp_path, identity="run")
    assert loaded["step"] == 10
    assert torch.equal(loaded["tensor"], torch.full((3,), 10.0))


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


def test_a_full_disk_leaves_the_checkpoint_before_and_says_how_much_is_needed(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), identity="run")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {**state(2), "network": {"weight": torch.zeros(500_000)}}
    # The system refuses to let a file grow beyond this: what a full disk does, at a place of our choice.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(KitError, match=r"cannot write step-00000002\.pt: File too large") as error:
            checkpoint.save(tmp_path, 2, large, identity="run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "a checkpoint takes 2.0 MB" in str(error.value)
    assert "make room for 6.0 MB" in str(error.value)
    assert "it goes on from the one of step 1, which is whole" in str(error.value)
    assert checkpoint.load(tmp_path, identity="run")["step"] == 1
    assert not list(tmp_path.glob("*.tmp"))


def save_until_interrupted(folder, values, seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    while True:
        checkpoint.save(folder, 2, values, identity="run")


# Where an interrupt strikes between the opening of a file and its `with`, Python closes it, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_the_middle_of_a_write_is_heard_after_it(tmp_path):
    checkpoint.save(tmp_path, 1, state(1), identity="run")
    large = {number: torch.zeros(50_000) for number in range(100)}
    # In its middle torch names an error of its archive in place of the interrupt, or aborts the process.
    for number in range(20):
        with pytest.raises(KeyboardInterrupt):
            save_until_interrupted(tmp_path, large, 0.001 + 0.002 * number)
    assert checkpoint.load(tmp_path, identity="run") is not None


def test_a_thread_that_hears_no_signal_writes_all_the_same(tmp_path):
    how = {"args": (tmp_path, 1, state(1)), "kwargs": {"identity": "run"}}
    thread = threading.Thread(target=checkpoint.save, **how)
    thread.start()
    thread.join()
    assert checkpoint.load(tmp_path, identity="run")["step"] == 1
