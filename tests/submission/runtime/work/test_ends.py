import subprocess
import sys

import pytest

from submission.runtime.work.ends import how_it_ended

TRACEBACK = """some library warns
Traceback (most recent call last):
  File "predict.py", line 7, in serve
    worker.handle(request)
ValueError: a message
"""


def ended(program: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def test_the_exception_comes_first_and_its_lines_are_the_trace():
    end = how_it_ended(1, TRACEBACK, memory_killed=False)
    assert (end.stage, end.problem) == ("crash", "worker ended with code 1: ValueError: a message")
    assert end.trace == TRACEBACK.partition("\n")[2].strip()


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import ctypes, faulthandler; faulthandler.enable(); ctypes.string_at(0)", "a segmentation fault"),
        ("import faulthandler, os; faulthandler.enable(); os.kill(os.getpid(), 7)", "a bus error"),
        ("import faulthandler, os; faulthandler.enable(); os.abort()", "a library aborted"),
    ],
)
def test_signals_are_told_in_words_with_the_lines_that_led_to_them(program, told):
    code, tail = ended(program)
    end = how_it_ended(code, tail, memory_killed=False)
    assert end.problem.startswith(f"worker ended with code {code}: {told}")
    assert "; Fatal Python error: " in end.problem
    assert end.trace.startswith("Fatal Python error: ")
    assert 'File "<string>", line 1 in <module>' in end.trace
    assert end.stage == "crash"


@pytest.mark.parametrize(
    ("code", "tail", "killed"),
    [
        (-9, "", True),
        (1, "Traceback (most recent call last):\n  File x\nMemoryError", False),
        (-6, "terminate called after throwing an instance of 'std::bad_alloc'", False),
    ],
)
def test_memory_is_told_as_memory(code, tail, killed):
    end = how_it_ended(code, tail, memory_killed=killed)
    assert end.stage == "memory"
    if killed:
        assert "the kernel killed it because memory ran out; fewer workers (--workers)" in end.problem


def test_without_a_word_the_code_is_told():
    assert how_it_ended(None, "", memory_killed=False).problem == (
        "worker ended with code None: it left no message"
    )
    assert "memory ran out" in how_it_ended(-9, "", memory_killed=False).problem
