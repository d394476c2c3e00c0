"""The list of what people script against sees every kind of change."""

import argparse
import sys
import types
from pathlib import Path

import pytest

from documents import surface

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch):
    """Makes modules `scripted` and `scripted.__main__` of a parser."""

    def make(parser):
        made = types.ModuleType("scripted.__main__")
        made.main = parser.parse_args
        monkeypatch.setitem(sys.modules, "scripted", types.ModuleType("scripted"))
        monkeypatch.setitem(sys.modules, "scripted.__main__", made)
        return list(surface.command_lines("scripted"))

    return make


def test_verbs_and_options_are_listed_with_what_they_need(module):
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    build = verbs.add_parser("build")
    build.add_argument("name")
    build.add_argument("--out", required=True)
    build.add_argument("--only", nargs="+")
    build.add_argument("--json", action="store_true")
    build.add_argument("--secret", help=argparse.SUPPRESS)
    inner = verbs.add_parser("wheel").add_subparsers()
    inner.add_parser("mmcv").add_argument("files", nargs="*")
    assert module(parser) == ["build --out= NAME [--json] [--only=...]", "wheel mmcv [FILES...]"]


def test_public_names_have_their_signatures(monkeypatch):
    made = types.ModuleType("scripted")
    exec(
        "def f(a: int, *, b: str = 'x') -> None: ...\ndef _g(): ...\nX = 3\n"
        "class C:\n    def m(self): ...\n    @property\n    def p(self): ...\n    def _n(self): ...\n",
        made.__dict__,
    )
    monkeypatch.setitem(sys.modules, "scripted", made)
    listed = list(surface.public_names("scripted"))
    assert [line.replace("'", "") for line in listed] == [
        "C()",
        "  C.m(self)",
        "  C.p",
        "X",
        "f(a: int, *, b: str = x) -> None",
    ]
    made.__all__ = ["f"]
    assert len(list(surface.public_names("scripted"))) == 1


def test_the_sessions_are_those_of_nox():
    found = surface.sessions(ROOT)
    assert {"demo", "train-all", "docs", "coverage", "train-<recipe>"} <= set(found)
    assert "train" not in found


def test_every_command_line_of_the_project_is_frozen():
    runnable = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for name in ("kit", "train_local", "bundle", "submission", "benchmarks", "documents")
        for path in (ROOT / name).rglob("__main__.py")
    }
    assert runnable == set(surface.COMMANDS)
