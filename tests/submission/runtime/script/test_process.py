import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from submission.runtime.script.process import Stop, ask_all, within

ROOT = Path(__file__).parents[4]


def run(code: str, **more) -> subprocess.CompletedProcess:
    """Run lines of Python as the program of a process that is ours alone."""
    lines = ["from submission.runtime.script.process import *", "import os, sys, time, threading", code]
    text = "\n".join([*lines, "run_process(program, None, 'mark')"])
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        **more,
    )


def test_the_exit_code_and_all_output_arrive_in_order():
    done = run(
        "def program():\n    for n in range(2000): print(n)\n"
        "    print('end', file=sys.stderr)\n    return 7\n"
    )
    assert done.returncode == 7
    assert done.stdout == "".join(f"{number}\n" for number in range(2000))
    assert done.stderr == "end\n"


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("sys.exit(2)", 2, ""),
        ("sys.exit('words')", 1, ""),
        ("sys.exit()", 0, ""),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("raise MemoryError", 1, "MemoryError"),
        ("1 / 0", 1, "ZeroDivisionError"),
    ],
)
def test_every_way_out_has_an_exit_code(body, code, told):
    done = run(f"def program():\n    {body}\n")
    assert done.returncode == code
    assert told in done.stderr


def test_threads_that_hang_do_not_keep_the_process():
    body = "threading.Thread(target=time.sleep, args=(3600,)).start()\n    return 0"
    assert run(f"def program():\n    {body}\n").returncode == 0


def test_the_process_ends_at_its_time_whatever_it_waits_for():
    # What was printed has arrived by then: the end itself waits for it only shortly.
    body = "print('before')\n    sys.stdout.drain(600)\n    end_at(time.monotonic(), lambda: 5)\n"
    body += "    time.sleep(3600)"
    done = run(f"def program():\n    {body}\n")
    assert (done.returncode, done.stdout) == (5, "before\n")


def test_text_beyond_the_encoding_is_escaped():
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("def program():\n    print('\\xf6\\udcff\\u4e2d')\n    return 0\n", env=env)
    assert (done.returncode, done.stdout) == (0, "\\xf6\\udcff\\u4e2d\n")


def test_descriptors_that_are_closed_are_not_given_to_files():
    code = "def program():\n    return os.open('/dev/null', os.O_RDONLY)\n"
    text = (
        f"from submission.runtime.script.process import *\nimport os\n{code}\nrun_process(program, None, '')"
    )
    command = ["bash", "-c", 'exec "$@" <&- >&- 2>&-', "bash", sys.executable, "-c", text]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=600).returncode >= 3


def test_signals_ask_for_the_end_and_their_handlers_come_back():
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)
    with stop.at_signals():
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_than_the_main_one_signals_are_left_alone():
    stop, errors = Stop(), []

    def cell():
        try:
            with stop.at_signals():
                pass
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    thread = threading.Thread(target=cell)
    thread.start()
    thread.join()
    assert not errors


def test_work_that_hangs_is_left_behind_and_errors_arrive():
    hang = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, hang.wait)
    hang.set()
    assert within(600, lambda: 3) == 3
    with pytest.raises(io.UnsupportedOperation):
        within(600, io.BytesIO().fileno)


def test_items_that_hang_keep_nobody_from_an_answer():
    others = threading.Barrier(21)

    def ask(item: int) -> int:
        if item < 20:
            others.wait(600)  # for the other twenty: they have their answers although these have none
        elif item == 39:
            threading.Thread(target=others.wait).start()
        return item * item

    assert ask_all(range(40), ask, 600, None) == {item: item * item for item in range(40)}


def test_items_that_hang_for_ever_are_left_behind():
    hang = threading.Event()
    assert ask_all(range(3), lambda _: hang.wait(), 0.1, None) == {}
    assert ask_all(range(3), lambda _: hang.wait(), 600, 0.1) == {}
    hang.set()
    assert ask_all([], lambda item: item, 600, None) == {}


def test_slow_answers_are_awaited_until_the_limit():
    answers = ask_all(range(3), lambda item: time.sleep(0.05) or item, 600, 600)
    assert sorted(answers) == [0, 1, 2]
