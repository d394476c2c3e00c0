"""What a parser says of good and of mistyped command lines."""

import pytest

from kit.local.parser import Parser


@pytest.fixture
def parser():
    made = Parser(prog="program", description="All of it.")
    made.add_argument("--data", required=True, help="a folder", metavar="DIR")
    made.add_argument("--split", choices=("test", "train"), help="50%% of it")
    made.add_argument("--secret", help="==SUPPRESS==")
    made.add_argument("name", nargs="?")
    return made


def refused(parser, capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_a_mistyped_option_is_told_before_the_one_that_is_missing_for_it(parser, capsys):
    said = refused(parser, capsys, "--dtaa", "x")
    assert said == (
        "error: there is no option --dtaa\n"
        "  where: program\n"
        "  fix:   did you mean '--data'? program --help shows what there is\n"
    )
    assert "required: --data" in refused(parser, capsys)


def test_values_that_look_like_options_are_left_alone(parser, capsys):
    assert parser.parse_args(["--data=--x y", "--", "--name"]).name == "--name"
    assert parser.parse_args(["--da", "x", "--sp", "test"]).split == "test"
    assert "unrecognized argument: more" in refused(parser, capsys, "--data", "x", "name", "more")
    assert "there is no option -v" in refused(parser, capsys, "--data", "x", "-v")


def test_a_wrong_choice_has_advice(parser, capsys):
    said = refused(parser, capsys, "--data", "x", "--split", "tset")
    assert "argument --split: invalid choice: 'tset' (choose from test, train)" in said
    assert "did you mean 'test'? program --help" in said


def test_what_can_be_typed_is_described(parser):
    told = parser.described()
    assert [item["flags"] for item in told["options"]] == [["-h", "--help"], ["--data"], ["--split"]]
    assert [item["values"] for item in told["options"]] == [None, [], ["test", "train"]]
    assert told["options"][2]["help"] == "50% of it"
    assert [item["name"] for item in told["arguments"]] == ["name"]


def test_verbs_stand_under_their_task_whatever_the_width(capsys, monkeypatch):
    parser = Parser(prog="program", description="All of it.")
    verbs = parser.add_subparsers(metavar="VERB")
    for name, task in (("one", "first"), ("two-with-a-very-long-name-indeed", "second"), ("three", "first")):
        verbs.add_parser(name)
        parser.tell(name, "What it does, in words. " * 4, task=task, examples=(f"{name} --now",))
    for width in ("20", "80", "300"):
        monkeypatch.setenv("COLUMNS", width)
        shown = parser.format_help()
        order = [
            shown.index(f"\n{part}")
            for part in ("first:", "  one", "  three", "second:", "  two-", "options:")
        ]
        assert order == sorted(order)
        assert "examples:\n  program one --now\n" in shown
