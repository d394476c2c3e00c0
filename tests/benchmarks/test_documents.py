"""The commands below the tables of docs/ exist, with every option and value.

All other commands of the documents are executed, or stand with a reason (`tests/documented`). These took
hours on one machine; a walk takes their small forms, which have other options.
"""

import re
import shlex

import pytest

from benchmarks.__main__ import main
from tests.documented.commands import DOCUMENTS, documented
from tests.documented.test_every_command import KNOWN

COMMAND = re.compile(r"(?:python -m benchmarks|nox -s bench --) (.+)")
OPTION = re.compile(r"--[a-z-]+")
BELOW_TABLES = sorted(
    match[1] for name in documented() if name not in KNOWN and (match := COMMAND.fullmatch(name))
)


def help_of(command, capsys):
    """Exit code and text: argparse checks the values before --help, then shows the help of the verb."""
    with pytest.raises(SystemExit) as ended:
        main([*shlex.split(command), "--help"])
    written = capsys.readouterr()
    return ended.value.code, written.out + written.err


@pytest.mark.parametrize("command", BELOW_TABLES)
def test_a_command_below_a_table_exists(command, capsys):
    code, text = help_of(command, capsys)
    assert code == 0, text
    assert set(OPTION.findall(command)) <= set(OPTION.findall(text))


def test_there_are_such_commands():
    assert len(BELOW_TABLES) > 10


@pytest.mark.parametrize("command", ["models --part swins", "inference --size 1000"])
def test_a_value_that_does_not_exist_is_refused(command, capsys):
    code, text = help_of(command, capsys)
    assert code == 2
    assert "error: " in text


def test_the_documents_name_the_package_by_its_present_name():
    for path in DOCUMENTS:
        assert not re.search(r"tests[./]bench\b", path.read_text()), path.name
