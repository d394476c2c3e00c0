"""Commands that are named and not executed exist: sessions, modules, verbs, options and values.

These are the commands of messages and comments, and those documented ones that no walk takes.
"""

import contextlib
import importlib
import io
import json
import re
from pathlib import Path

import pytest

from kit.local.session_options import known_options
from tests.documented.commands import commands_of
from tests.documented.every_walk import ELSEWHERE, NOT_HERE
from tests.nox_calls import NoxCalls

ROOT = Path(__file__).parents[2]
# tests have no messages
OURS = ("kit", "train_local", "bundle", "submission", "benchmarks", "documents", "tests")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|.*(?:\.\.\.|[<>{}|]).*")
"""NAME, FILE_IT_PRINTED; what stands for other values, as in `train-<recipe>`."""


def written(words):
    """The words without placeholders, and without the options whose values they are."""
    groups = [[]]
    for word in words:
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    first = [word for word in groups[0] if not PLACEHOLDER.fullmatch(word)]
    others = [group for group in groups[1:] if not any(map(PLACEHOLDER.fullmatch, group))]
    if len(groups[-1]) == 1:
        others = others[:-1]  # `list --size` names an option; its value is left out
    return [*first, *(word for group in others for word in group)]


def fault_of_module(module, words):
    """What is wrong with `python -m MODULE WORDS`; None if nothing is."""
    place = ROOT.joinpath(*module.split("."))
    if not (place / "__main__.py").is_file():
        there = place.with_suffix(".py").is_file() and "__main__" in place.with_suffix(".py").read_text()
        return None if there and not words else "no such module can be run so"
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            # argparse checks the values that come before --help, then shows the help of the verb.
            importlib.import_module(f"{module}.__main__").main([*written(words), "--help"])
        except SystemExit as ended:
            if ended.code:
                return text.getvalue()
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    unknown = options - known_options(text.getvalue())
    return f"there is no {', '.join(sorted(unknown))}" if unknown else None


@pytest.fixture
def fault(tmp_path, monkeypatch):
    """Returns what is wrong with a command; None if nothing is."""
    calls = NoxCalls(tmp_path, monkeypatch)
    for name in ("kidney", "vasculature"):
        (calls.work / name).mkdir(parents=True)
        (calls.work / name / "prepared.json").write_text(json.dumps({"data": "data"}))

    def of_sessions(words):
        end = words.index("--") if "--" in words else len(words)
        names, arguments = words[:end], words[end + 1 :]
        if absent := [
            name for name in names if name not in calls.sessions and not PLACEHOLDER.fullmatch(name)
        ]:
            return f"there is no session {', '.join(absent)}"
        if not set(names) <= calls.sessions.keys() - {"demo"}:
            return None
        done = calls(names, *arguments)
        ran = [command[1:] for commands in done.values() for command in commands if command[0] == "-m"]
        return next((found for module, *rest in ran if (found := of_module(module, rest))), None)

    def of_module(module, words):
        return fault_of_module(module, words) if module.partition(".")[0] in OURS else None

    return lambda words: of_sessions(words[2:]) if words[0] == "nox" else of_module(words[2], words[3:])


def faults_of(codes, fault):
    found = {" ".join(words): words for words in commands_of(codes)}
    return len(found), {command: said for command, words in found.items() if (said := fault(words))}


def test_a_documented_command_that_no_walk_takes_exists(fault):
    whole = {
        name for name in {*ELSEWHERE, *NOT_HERE} - {"nox -s tra"} if re.match(r"nox -s|python -m \w", name)
    }
    count, wrong = faults_of(sorted(whole), fault)
    assert wrong == {}
    assert count == len(whole) > 10


def test_the_commands_of_messages_and_comments_exist(fault):
    texts = [path.read_text() for name in OURS[:-1] for path in ROOT.glob(f"{name}/**/*.py")]
    # "run `python -m bundle " "lock`" over two lines is one command.
    spans = [
        re.sub(r'"\s+f?"|\s+', lambda match: "" if '"' in match[0] else " ", span)
        for text in texts
        for span in re.findall(r"`((?:python -m|nox -s) [^`]+)`", text)
    ]
    count, wrong = faults_of(spans, fault)
    assert wrong == {}
    assert count > 20


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("nox -s bundel", "there is no session bundel"),
        ("nox -s gate -- kidney --pyton 3.13", "--pyton"),
        ("nox -s gate -- kidney --python 3.99", "invalid choice"),
        ("nox -s bench -- modles", "invalid choice"),
        ("python -m bundle guess", "invalid choice"),
        ("python -m kit score --competition NAME --date DIR", "there is no --date"),
        ("python -m kit.absent", "no such module"),
    ],
)
def test_a_command_that_does_not_exist_is_found(code, words, fault):
    _, wrong = faults_of([code], fault)
    assert words in " ".join(wrong.values())
