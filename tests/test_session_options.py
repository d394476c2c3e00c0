"""The command lines of sessions, alone and several in one call, as nox would run them."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kit.errors import KitError
from kit.local.session_options import asked_sessions, known_options, own_options

ROOT = Path(__file__).parents[1]
KAGGLE = ("bundle", "upload", "probe", "submit", "submissions")


class Stopped(Exception):  # noqa: N818 - nox stops a session with it
    """A session ended with an error."""


class Session:
    """Stands where nox would run commands: it writes them down; a command's help is asked for in truth."""

    def __init__(self, name, posargs):
        self.name, self.posargs, self.commands = name, posargs, []

    def run(self, _python, *command, silent=False, **_):
        if "--help" in command:
            done = subprocess.run(
                [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
            )
            return done.stdout
        self.commands.append(" ".join(map(str, command)))
        return ""

    def error(self, text):
        raise Stopped(text)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run sessions as `nox -s NAMES -- ARGUMENTS`; gives session -> its commands, with short folders."""
    decorator = lambda function=None, name=None: function or (lambda inner: inner)  # noqa: E731
    stub = SimpleNamespace(session=decorator, options=SimpleNamespace(), Session=Session)
    monkeypatch.setitem(sys.modules, "nox", stub)
    space = runpy.run_path(str(ROOT / "noxfile.py"))
    inside = space["bundle"].__globals__
    inside["environment"] = lambda session, **_: "python"
    for folder in ("WORK", "DIST", "BUILD"):
        inside[folder] = tmp_path / folder.lower()

    def run(names, *arguments):
        monkeypatch.setattr(sys, "argv", ["nox", "-s", *names, *(["--", *arguments] if arguments else [])])
        done = {}
        for name in names:
            session = Session(name, list(arguments))
            space[name](session)
            done[name] = [command.replace(f"{tmp_path}/", "") for command in session.commands]
        return done

    run.work = tmp_path / "work"
    return run


def test_each_of_two_sessions_gets_the_options_that_it_knows(call):
    done = call(["bundle", "upload"], "kidney", "--no-gate", "--dry-run", "--only", "a", "--owner=me")
    assert done == {
        "bundle": [
            "-m bundle build --owner=me --ensemble dist/kidney/ensemble.json --out dist/kidney/bundle"
        ],
        "upload": [
            "-m bundle upload --dry-run --only a --owner=me --bundle dist/kidney/bundle --work build/uploads"
        ],
    }


def test_an_option_that_no_session_knows_ends_the_first_one_before_it_begins(call):
    with pytest.raises(Stopped, match=r"none of the sessions bundle, upload knows --dry-rum(?s:.)*fix:"):
        call(["bundle", "upload"], "kidney", "--dry-rum")


def test_a_single_session_leaves_its_options_to_its_command(call):
    assert call(["upload"], "kidney", "--dry-rum") == {
        "upload": ["-m bundle upload --dry-rum --bundle dist/kidney/bundle --work build/uploads"]
    }


def test_the_way_to_a_score_in_one_call_for_all_that_is_prepared(call):
    (call.work / "kidney").mkdir(parents=True)
    (call.work / "kidney" / "prepared.json").write_text("{}")
    for arguments in ((), ("kidney",)):
        assert call(KAGGLE, *arguments) == {
            "bundle": [
                "-m bundle build --ensemble dist/kidney/ensemble.json --out dist/kidney/bundle",
                "-m bundle gate --bundle dist/kidney/bundle",
            ],
            "upload": ["-m bundle upload --bundle dist/kidney/bundle --work build/uploads"],
            "probe": ["-m bundle probe --state dist/probe"],
            "submit": [
                (
                    "-m submission submit --predict dist/kidney/predict.py --state dist/kidney/kaggle "
                    "--log dist/kidney/submissions.jsonl"
                )
            ],
            "submissions": ["-m submission submissions --log dist/kidney/submissions.jsonl"],
        }


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("-s bundle upload -- -s kidney", ["bundle", "upload"]),
        ("-s bundle -s upload", ["bundle", "upload"]),
        ("--sessions bundle upload --no-venv", ["bundle", "upload"]),
        ("-R --session=bundle upload", ["bundle", "upload"]),
        ("-l", []),
        ("", []),
    ],
)
def test_the_sessions_of_a_command_line(line, names):
    assert asked_sessions(line.split()) == names


def test_options_keep_their_values_and_their_order():
    known = {"a": {"--one", "--both"}, "b": {"--two", "--both"}}
    given = ["--one", "1", "-1", "--both", "--two", "x", "y", "--one=3"]
    assert own_options(given, "a", known) == ["--one", "1", "-1", "--both", "--one=3"]
    assert own_options(given, "b", known) == ["--both", "--two", "x", "y"]
    with pytest.raises(KitError, match="knows --three, -v"):
        own_options(["--three", "-v", "--both"], "a", known)


def test_the_help_of_a_command_names_its_options():
    text = "usage: x [-h] [--out DIR]\n  -h, --help  show\n  --out DIR  a well--known folder\n  --no-gate\n"
    assert known_options(text) == {"--help", "--out", "--no-gate"}
