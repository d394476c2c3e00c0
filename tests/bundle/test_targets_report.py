import json

from bundle import __main__ as cli
from kit.local.program import run_cli


def test_facts_are_printed_with_those_that_nobody_knows(capsys):
    assert run_cli(cli.main, ["targets", "--target", "kaggle-2026-10"]) == 0
    said = capsys.readouterr().out
    assert "3.13.15" in said
    assert "not known" in said
    assert run_cli(cli.main, ["targets", "--target", "cp312", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kaggle-2026-09"]["torch"] == "2.10.0"
    assert told["kaggle-2026-09-torch2.11-cpu"]["torch"] is None
    assert run_cli(cli.main, ["targets", "--target", "cp39"]) == 2
    assert "no target is named 'cp39'" in capsys.readouterr().err
