"""One process at a time: who holds a lock is told, and a killed process lets go of it."""

import pytest

from kit.errors import KitError
from kit.local.locks import only_one
from tests.lock_holder import held_elsewhere


def test_the_holder_is_told_and_what_it_does(tmp_path):
    lock = tmp_path / "new" / ".lock"
    with (
        held_elsewhere(lock) as holder,
        pytest.raises(KitError, match="another process sends this") as caught,
        only_one(lock, doing="sends this"),
    ):
        pytest.fail("two processes hold one lock")
    assert f"process {holder.pid} on " in str(caught.value)
    assert caught.value.fix


def test_a_killed_process_lets_go(tmp_path):
    with held_elsewhere(tmp_path / ".lock") as holder:
        holder.kill()
        holder.wait()
        with only_one(tmp_path / ".lock"):
            assert str(holder.pid) not in (tmp_path / ".lock").read_text()


def test_who_waits_is_told_once_and_goes_on(tmp_path):
    told = []
    with held_elsewhere(tmp_path / ".lock") as holder:

        def let_go(text):
            told.append(text)
            holder.kill()

        with only_one(tmp_path / ".lock", wait=3600, told=let_go):
            pass
    assert len(told) == 1
    assert f"process {holder.pid}" in told[0]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KitError, match="cannot be written"), only_one(tmp_path / "file" / ".lock"):
        pass
