"""How a command line ends: its exit code and its last words."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.program import INTERRUPTED, NOT_ALL, TYPED, Interruption, command_line, run_cli

ROOT = Path(__file__).parents[3]


def test_bad_input_is_a_message_and_exit_code_2(capsys):
    def command(argv):
        raise KitError(f"no such file: {argv[0]}")

    assert run_cli(command, ["x.csv"]) == 2
    assert capsys.readouterr().err == "error: no such file: x.csv\n"


def test_arguments_come_from_the_process_when_not_given(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "a", "b"])
    assert run_cli(len) == 2


@pytest.fixture
def interrupts():
    """After an interruption the next Ctrl-C ends the process; the test suite keeps its own."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_interruption_tells_how_to_go_on(capsys, interrupts):
    def command(argv):
        raise KeyboardInterrupt

    def verb(argv):
        raise Interruption("half of it is kept", "python -m kit go on")

    assert run_cli(command, []) == INTERRUPTED == 130
    assert capsys.readouterr().err == "stopped; run the same command again to go on\n"
    assert run_cli(verb, []) == INTERRUPTED
    assert capsys.readouterr().err == "stopped; half of it is kept; to go on: python -m kit go on\n"


def test_the_command_that_goes_on_is_the_one_that_was_typed(monkeypatch):
    arguments = ["train", "a b"]
    assert command_line("python -m train_local", arguments) == "python -m train_local train 'a b'"
    monkeypatch.setattr(sys, "orig_argv", ["py", "-m", "train_local", *arguments])
    assert command_line("python -m train_local", arguments) == "py -m train_local train 'a b'"
    monkeypatch.setenv(TYPED, "nox -s train-all")
    assert command_line("python -m train_local", arguments) == "nox -s train-all"


@pytest.mark.parametrize(
    "text",
    [
        "[print(number) for number in range(100_000)]",
        "print('more than is read'); import time; time.sleep(1); print('after the reader went')",
        "raise SystemExit('x' * 10) if print('x' * 100_000) else 0",
    ],
)
def test_a_closed_pipe_is_silent(text):
    script = (
        f"from kit.local.program import run_cli\nraise SystemExit(run_cli(lambda _: exec({text!r}) or 0, []))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        program.stdout.read(1)
        program.stdout.close()
        said = program.stderr.read()
    assert program.returncode == NOT_ALL
    assert said == ""


def test_another_pipe_that_breaks_is_a_fault_and_not_hidden(tmp_path):
    def command(argv):
        read, write = os.pipe()
        os.close(read)
        try:
            os.write(write, b"x")
        finally:
            os.close(write)

    with pytest.raises(BrokenPipeError):
        run_cli(command, [])


def test_a_place_that_the_system_refuses_is_bad_input_and_a_fault_of_the_program_is_none(tmp_path, capsys):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for place, problem in (
        ("file/x", "Not a directory"),
        ("loop", "Too many levels"),
        ("a" * 300, "too long"),
    ):
        assert run_cli(lambda argv: len((tmp_path / argv[0]).read_bytes()), [place]) == 2
        said = capsys.readouterr().err
        assert problem in said
        assert f"where: {tmp_path / place}" in said
    with pytest.raises(FileNotFoundError):
        run_cli(lambda argv: len((tmp_path / argv[0]).read_bytes()), ["never written"])


def test_a_python_without_the_dependencies_is_told_where_they_are(capsys):
    assert run_cli(lambda argv: len(__import__(argv[0])), ["no_such_library.part"]) == 2
    said = capsys.readouterr().err
    assert "this Python has no no_such_library" in said
    assert ".nox/kit-cpython-3" in said
    with pytest.raises(ModuleNotFoundError):
        run_cli(lambda argv: len(__import__(argv[0])), ["kit.no_such_module"])


_ANSWERS = (
    "import subprocess, sys; from kit.local.program import run_cli\n"
    "def command(argv):\n"
    "    with open('result', 'w') as file:\n"
    "        subprocess.run(['echo', 'of a helper'])\n"
    "        file.write('mine')\n"
    "    print('an answer', sys.stdin.read())\n"
    "    return 0\n"
    "sys.exit(run_cli(command))\n"
)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_goes_nowhere(tmp_path, closed):
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, _ANSWERS],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed.split() else "of a helper\nan answer \n")
    assert (tmp_path / "result").read_text() == "mine", "no file got stdout's number"


@pytest.mark.parametrize("times", [1, 100_000])
@pytest.mark.parametrize("end", ["return 0", "raise SystemExit(0)"])
def test_a_full_disk_behind_stdout_is_told_once(times, end):
    script = (
        "import sys; from kit.local.program import run_cli\n"
        f"def command(argv):\n    print('an answer' * {times})\n    {end}\n"
        "sys.exit(run_cli(command))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
