import os

import pytest

from kit.errors import KitError
from train_local.ensemble import processes
from train_local.ensemble.processes import in_processes


def where(number):
    return number, os.getpid()


def end_in_others(parent):
    if os.getpid() != parent:
        os._exit(9)
    return parent


def test_little_work_is_done_here_and_much_in_other_processes_in_order(monkeypatch):
    assert {pid for _, pid in in_processes(where, range(50))} == {os.getpid()}
    monkeypatch.setattr(processes, "_ALONE_SECONDS", -1.0)
    done = list(in_processes(where, range(9), processes=2))
    assert [number for number, _ in done] == list(range(9))
    assert len({pid for _, pid in done}) > 1
    assert {pid for _, pid in in_processes(where, range(5), processes=1)} == {os.getpid()}


def test_a_process_that_the_system_ends_is_told(monkeypatch):
    monkeypatch.setattr(processes, "_ALONE_SECONDS", -1.0)
    with pytest.raises(KitError, match="the system ended a process") as error:
        list(in_processes(end_in_others, [os.getpid()] * 4, processes=2))
    assert "--processes 1" in str(error.value)
