"""The sessions of noxfile.py, run where nox would run commands: these are written down."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[1]


class Stopped(Exception):  # noqa: N818 - nox stops a session with it
    """A session ended with an error."""


class Session:
    """Stands where nox would run commands: it writes them down; a command's help is asked for in truth."""

    def __init__(self, name, posargs):
        self.name, self.posargs, self.commands = name, posargs, []

    def run(self, _python, *command, silent=False, **_):
        """Write a command down."""
        if "--help" in command and silent:
            done = subprocess.run(
                [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True
            )
            return done.stdout
        self.commands.append(tuple(map(str, command)))
        return ""

    def error(self, text):
        """End the session."""
        raise Stopped(text)


class NoxCalls:
    """Runs sessions as `nox -s NAMES -- ARGUMENTS`.

    Attributes:
        sessions: name -> function, of all that noxfile.py has.
        work: folder of prepared competitions.
    """

    def __init__(self, tmp_path, monkeypatch):
        self.sessions, self._monkeypatch, self.work = {}, monkeypatch, tmp_path / "work"

        def session(function=None, name=None):
            if function is None:
                return lambda inner: session(inner, name)
            self.sessions[name or function.__name__] = function
            return function

        registry = SimpleNamespace(get=lambda: self.sessions)
        stub = SimpleNamespace(session=session, options=SimpleNamespace(), Session=Session, registry=registry)
        monkeypatch.setitem(sys.modules, "nox", stub)
        runpy.run_path(str(ROOT / "noxfile.py"))
        inside = self.sessions["bundle"].__globals__
        inside["environment"] = lambda session, **_: "python"
        inside["demo"] = lambda session: None  # `bench` runs it first; it reads what its own commands wrote
        monkeypatch.setattr("kit.local.session_environment.locked", lambda *_: tmp_path / "environment")
        for folder in ("WORK", "DIST", "BUILD"):
            inside[folder] = tmp_path / folder.lower()

    def __call__(self, names, *arguments):
        """Return session -> its commands, each a tuple of arguments of Python."""
        line = ["nox", "-s", *names, *(["--", *arguments] if arguments else [])]
        self._monkeypatch.setattr(sys, "argv", line)
        done = {}
        for name in names:
            session = Session(name, list(arguments))
            self.sessions[name](session)
            done[name] = session.commands
        return done
