import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_local.ends import end_in_words, signal_of


@pytest.mark.parametrize("code", [-signal.SIGKILL, 128 + signal.SIGKILL])
def test_a_kill_means_memory_however_the_code_is_written(code):
    what, fix = end_in_words(code)
    assert "memory ran out" in what
    assert "fewer --workers" in fix


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-15, "ended from outside"),
        (-7, "/dev/shm"),
        (135, "/dev/shm"),
        (-11, "SIGSEGV"),
        (-50, "signal 50"),
        (2, "message"),
        (1, "exit code 1"),
    ],
)
def test_other_ends_have_words_too(code, words):
    assert words in end_in_words(code)[0]


@given(st.integers(-64, 255))
def test_every_end_has_words(code):
    what, fix = end_in_words(code)
    assert what
    assert fix
    assert signal_of(code) >= 0
