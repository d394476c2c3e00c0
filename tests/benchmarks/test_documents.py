"""The commands that the documents name exist, with every option and value."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.__main__ import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
COMMAND = re.compile(r"(?:python -m benchmarks|nox -s bench --) ([^`#\n]+)")
OPTION = re.compile(r"--[a-z-]+")


def commands():
    found = {match.strip() for path in DOCUMENTS for match in COMMAND.findall(path.read_text())}
    assert found
    return sorted(found)


def help_of(command, capsys):
    """Exit code and text: argparse checks the values before --help, then shows the help of the verb."""
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(command), "--help"])
    written = capsys.readouterr()
    return ended.value.code, written.out + written.err


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_exists(command, capsys):
    code, text = help_of(command, capsys)
    assert code == 0, text
    assert set(OPTION.findall(command)) <= set(OPTION.findall(text))


@pytest.mark.parametrize("command", ["slides", "models --part swins", "inference --size 1000"])
def test_a_command_that_does_not_exist_is_refused(command, capsys):
    code, text = help_of(command, capsys)
    assert code == 2
    assert "error: " in text


def test_the_documents_name_the_package_by_its_present_name():
    for path in DOCUMENTS:
        assert not re.search(r"tests[./]bench\b", path.read_text()), path.name
