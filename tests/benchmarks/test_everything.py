"""`nox -s bench` alone makes every figure that the documents show."""

import re
from pathlib import Path

import pytest

from benchmarks import everything
from benchmarks.__main__ import main
from benchmarks.options import EverythingOptions

ROOT = Path(__file__).parents[2]
NO_FIGURES = {("rehearse.md", "catalogue")}
"""Lists that tests hold against the code."""
OPTIONS = EverythingOptions(dry_run=True, native_mmcv=Path("unpacked"))


def test_every_block_of_the_documents_is_written_by_one_command():
    there = {
        (page.name, name)
        for page in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"<!-- ([a-z-]+) -->", page.read_text())
        if f"<!-- end of {name} -->" in page.read_text()
    }
    written = list(everything.blocks(OPTIONS))
    assert len(set(written)) == len(written)
    assert set(written) == there - NO_FIGURES


@pytest.mark.parametrize(
    "command",
    [item.command for item in everything.figures(OPTIONS) if item.command[1] == "benchmarks"],
    ids=" ".join,
)
def test_its_commands_exist(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command[2:], "--write-docs", "--help"])
    assert ended.value.code == 0, capsys.readouterr()


def test_what_cannot_be_made_here_is_told_with_the_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["all", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "left out   benchmarks.md: detectors: no --native-mmcv DIR" in told
    assert "left out   benchmarks.md: workers-budgets: dist/demo/ holds no rendered samples" in told
    assert "made       benchmarks.md: rle" in told
