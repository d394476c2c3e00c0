"""Colours and bars where a person looks, plain lines elsewhere: in a real terminal and in pipes."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOW = """
from kit.local import console
console.show_table("title", ("name", "value"), [("[lung]", "1")])
console.results().print("[bold]a result")
for item in console.track(range(3), total=3, description="images"):
    pass
print(console.is_watched())
"""
SLOW = """
import time
from kit.local import console
console._EVERY_S = 0.0
for item in console.track(range(3), total=4, description="images"):
    time.sleep(0.01)
with console.transfer() as display:
    task = display.add_task("file", total=4_000_000)
    display.update(task, completed=1_000_000)
console._EVERY_S = 0.05
with console.working("something"):
    time.sleep(0.5)
"""


def in_terminal(code, **environment):
    """What a program writes when stdin, stdout and stderr are one terminal."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    ) as process:  # fmt: skip
        os.close(follower)
        parts = []
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(leader)
    assert process.returncode == 0
    return b"".join(parts).decode()


def test_a_table_that_a_terminal_has_no_room_for_is_printed_row_by_row():
    code = SHOW.replace('"[lung]"', '"[lung]" + "a-long-name" * 3')
    assert "┃" in in_terminal(code, COLUMNS="80")
    narrow = in_terminal(code, COLUMNS="40", NO_COLOR="1").replace("\r", "")
    assert "┃" not in narrow
    assert "name   [lung]a-long-namea-long-namea-lon" in narrow


def test_a_terminal_has_colours_and_bars(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = in_terminal(SHOW)
    assert "\x1b[" in text
    assert "images" in text
    assert "3/3" in text
    assert text.rstrip().endswith("True")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_none_gets_none(environment):
    text = in_terminal(SHOW, **environment)
    assert "\x1b" not in text
    assert "images" not in text
    assert "[lung]" in text
    assert text.rstrip().endswith("False")


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_a_pipe_gets_no_escape_sequence(environment):
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stdout == "a result\nFalse\n"
    assert "images" not in done.stderr, "it was done at once"


def test_what_takes_long_says_a_line_now_and_then():
    done = subprocess.run([sys.executable, "-c", SLOW], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert lines[:3] == [f"images: {count} of 4, 0:00:00 left" for count in (1, 2, 3)]
    assert lines[3].startswith("file: 1.0 MB of 4.0 MB, ")
    assert lines[4] == "something: for 0:00:00 now"
    assert done.stdout == ""


@pytest.mark.parametrize(("environment", "width"), [({}, 120), ({"COLUMNS": "60"}, 60)])
def test_a_log_has_lines_of_120_characters(environment, width):
    code = (
        "from kit.local import console; console.show_table('title', ('name', 'value'), [('a', 'word ' * 60)])"
    )
    given = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**given, **environment},
    )  # fmt: skip
    assert max(map(len, done.stderr.splitlines())) == width


@pytest.mark.parametrize("environment", [{}, {"COLUMNS": "60"}])
def test_a_sentence_in_a_log_is_one_line(environment):
    path = "/a folder/" + "long-name" * 30
    code = (
        "from kit.local import console; import sys\n"
        "console.console().print(f'{sys.argv[1]} is removed', markup=False)\n"
        "console.results().print(f'{sys.argv[1]} is removed')\n"
        "with console.progress() as display:\n"
        "    display.console.print(f'{sys.argv[1]} is removed')"
    )
    given = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**given, **environment},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{path} is removed\n", f"{path} is removed\n" * 2)
