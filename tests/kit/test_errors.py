import pickle
import sys

import pytest

from kit.errors import KitError
from kit.local.kaggle.outcome import Refused
from kit.local.program import run_cli


def test_message_says_what_where_and_what_to_do():
    error = KitError("weights are truncated", where="a/b.safetensors", fix="upload the dataset again")
    assert str(error) == "weights are truncated\n  where: a/b.safetensors\n  fix:   upload the dataset again"


def test_error_survives_a_process_border():
    error = pickle.loads(pickle.dumps(KitError("p", where="w", fix="f")))
    assert (error.problem, error.where, error.fix) == ("p", "w", "f")


def test_an_error_stays_of_its_kind_with_all_it_knows():
    error = pickle.loads(pickle.dumps(Refused("a.B", status=429, reason="later", retry_after=3.0)))
    assert type(error) is Refused
    assert (error.status, error.reason, error.retry_after) == (429, "later", 3.0)
    assert str(error) == str(Refused("a.B", status=429, reason="later"))


def test_bad_input_is_a_message_and_exit_code_2(capsys):
    def command(argv):
        raise KitError(f"no such file: {argv[0]}")

    assert run_cli(command, ["x.csv"]) == 2
    assert capsys.readouterr().err == "error: no such file: x.csv\n"


def test_arguments_come_from_the_process_when_not_given(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "a", "b"])
    assert run_cli(len) == 2


def test_interruption_tells_how_to_go_on(capsys):
    def command(argv):
        raise KeyboardInterrupt

    assert run_cli(command, []) == 130
    assert "run the same command again" in capsys.readouterr().err


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
