"""The early-stopping benchmark itself, on eight drawn slides and tiles."""

import ast
import shutil
from pathlib import Path

import pytest

from benchmarks import early_stopping
from benchmarks.markdown import DOCS, block
from benchmarks.options import EarlyStoppingOptions
from kit.command_line import parse
from kit.errors import KitError


def options(*arguments):
    return parse(list(arguments), EarlyStoppingOptions, prog="benchmarks")


def test_scores_and_costs_with_and_without_early_stopping_are_kept(tmp_path):
    docs = Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))
    command = ["--tiny", "--write-docs", "--folder", str(tmp_path)]
    early_stopping.run(options(*command), ["early-stopping", *command], docs)
    written, _, how = block(docs, early_stopping.BLOCK).partition("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines()[2:]]
    assert {row[0] for row in rows} == {"8 drawn slides", "2 drawn slides of 1280 pixels", "8 drawn tiles"}
    for *_, share, _, windows, score, without, cost in rows:
        assert float(score) >= float(without)
        assert 0 < int(cost.removesuffix(" %")) <= 100
        assert share == "-" or 0 < int(share.removesuffix(" %")) < 100
        assert windows == "-" or 0 < int(windows.removesuffix(" %")) <= 100
    assert any(row[5] != "-" for row in rows if "1280" in row[0]), "windows without a disc are skipped"
    assert how.startswith("`python -m benchmarks early-stopping --tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md"], "what was drawn is gone"


def test_rows_of_given_runs_name_the_competition_and_its_recipes():
    members = ["unet-regnety16-tiny.fold0", "unet-regnety16-tiny.fold1", "my-model"]
    assert early_stopping.title("kidney", members) == "kidney: unet-regnety16-tiny, my-model"


def test_the_rows_of_the_demo_in_the_documents_are_called_so():
    first = [
        line.split("|")[1].strip()
        for line in block(DOCS / "benchmarks.md", early_stopping.BLOCK).splitlines()
        if line.startswith("|")
    ]
    of_demo = [early_stopping.title(name, [f"{recipe}-tiny.fold0"]) for name, recipe in demo().items()]
    assert set(of_demo) <= set(first)


def demo():
    """The competitions and recipes of `nox -s demo`."""
    tree = ast.parse((DOCS.parent / "noxfile.py").read_text())
    [value] = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets) == "DEMO"
    ]
    return ast.literal_eval(value)


def test_runs_without_the_data_they_were_trained_on_are_refused(tmp_path):
    with pytest.raises(KitError, match="--prepared and --runs name 0 and 1 folders"):
        early_stopping.run(options("--runs", str(tmp_path)), [])
