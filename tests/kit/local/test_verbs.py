"""A command line with verbs runs the verb that it names."""

from dataclasses import dataclass, field

import pytest

from kit.command_line import option
from kit.local.program import run_cli
from kit.local.verbs import Program, Verb, Verbs


@dataclass(frozen=True, kw_only=True)
class Show:
    """Show one thing,
    50% of it.

    This paragraph is no help.
    """

    what: str = field(metadata=option("its name", positional=True))
    size: int = field(default=3, metadata=option("pixels", positional=True))


def test_verbs_run_what_they_name(capsys):
    seen = []

    def show(options):
        seen.append(options)
        return 7

    verbs = [Verbs("one", "of a group", [Verb("show", Show, show)]), Verb("show", Show, show)]

    def main(argv):
        return Program("program", "All of it.", verbs).run(argv)

    assert main(["show", "thing"]) == 7
    assert main(["one", "show", "thing", "5"]) == 7
    assert seen == [Show(what="thing"), Show(what="thing", size=5)]
    for arguments in ([], ["one"]):
        with pytest.raises(SystemExit) as stop:
            run_cli(main, arguments)
        assert stop.value.code == 2
        assert "required: VERB" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "show Show one thing, 50% of it." in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main(["show", "--help"])
    described = " ".join(capsys.readouterr().out.split())
    assert "Show one thing, 50% of it." in described
    assert "no help" not in described


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where weights lie."""

    size: int = field(default=4, metadata=option("of a weight", flag="--weight-size"))


@dataclass(frozen=True, kw_only=True)
class Both:
    """Show things."""

    weights: Weights = field(default_factory=Weights)
    size: int = field(default=3, metadata=option("pixels"))


def test_two_fields_of_one_name_are_refused_as_one_option_would_set_both():
    with pytest.raises(TypeError, match="the options of show have two fields with the name size"):
        Program("program", "All of it.", [Verb("show", Both, len)]).run(["show"])
