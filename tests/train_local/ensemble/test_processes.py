import os
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local.ensemble import processes
from train_local.ensemble.processes import Helpers


def where(number):
    return number, os.getpid()


def end_in_others(parent):
    if os.getpid() != parent:
        os._exit(9)
    return parent


def test_little_work_is_done_here_and_much_in_other_processes_in_order(monkeypatch):
    assert {pid for _, pid in Helpers().map(where, range(50))} == {os.getpid()}
    monkeypatch.setattr(processes, "_ALONE_SECONDS", -1.0)
    helpers = Helpers(2)
    done = list(helpers.map(where, range(9)))
    assert [number for number, _ in done] == list(range(9))
    others = {pid for _, pid in done} - {os.getpid()}
    assert others
    assert {pid for _, pid in helpers.map(where, range(5))} <= others, "they are there already"
    assert {pid for _, pid in Helpers(1).map(where, range(5))} == {os.getpid()}


def test_the_other_processes_end_with_their_owner(monkeypatch):
    monkeypatch.setattr(processes, "_ALONE_SECONDS", -1.0)
    helpers = Helpers(2)
    others = {pid for _, pid in helpers.map(where, range(9))} - {os.getpid()}
    assert all(Path("/proc", str(pid)).exists() for pid in others)
    del helpers
    assert not any(Path("/proc", str(pid)).exists() for pid in others)


def test_a_process_that_the_system_ends_is_told(monkeypatch):
    monkeypatch.setattr(processes, "_ALONE_SECONDS", -1.0)
    with pytest.raises(KitError, match="the system ended a process") as error:
        list(Helpers(2).map(end_in_others, [os.getpid()] * 4))
    assert "--processes 1" in str(error.value)
