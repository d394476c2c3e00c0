"""`nox -s bench` alone makes every figure that the documents show."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import everything
from benchmarks.__main__ import main
from benchmarks.everything import Figures
from benchmarks.markdown import DOCS, block
from benchmarks.options import EverythingOptions
from kit.errors import KitError

NO_FIGURES = {("rehearse.md", "catalogue")}
"""Lists that tests hold against the code."""
OPTIONS = EverythingOptions(dry_run=True, native_mmcv=Path("unpacked"))
WRITES = """
import sys
from pathlib import Path
from benchmarks.markdown import write_block
page = Path(sys.argv[sys.argv.index("--docs") + 1]) / "benchmarks.md"
for name in {blocks}:
    write_block(page, name, "new figures by " + sys.argv[-1])
{more}
"""


def test_every_block_of_the_documents_is_written_by_one_command():
    there = {
        (page.name, name)
        for page in DOCS.glob("*.md")
        for name in re.findall(r"<!-- ([a-z-]+) -->", page.read_text())
        if f"<!-- end of {name} -->" in page.read_text()
    }
    written = list(everything.blocks(OPTIONS))
    assert len(set(written)) == len(written)
    assert set(written) == there - NO_FIGURES


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("item", everything.figures(OPTIONS), ids=lambda item: item.name)
def test_its_commands_exist(item, size, capsys):
    _, module, *words = item.command
    sizes = [word for word in getattr(item, size) if word not in {"--", "-k", "segformer-b0"}]
    program = importlib.import_module(f"{module}.__main__").main
    with pytest.raises(SystemExit) as ended:
        program([*words, "--write-docs", "--docs", "pages", *sizes, "--help"])
    assert ended.value.code == 0, capsys.readouterr()


def test_what_cannot_be_made_here_is_told_with_the_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["all", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "left out   benchmarks.md: detectors: no --native-mmcv DIR" in told
    for name in ("early-stopping", "workers-budgets", "demo"):
        assert f"left out   benchmarks.md: {name}: dist/demo/ holds no finished demo" in told
    assert "would run  benchmarks.md: rle" in told


def command(*blocks, more=""):
    return "-c", WRITES.format(blocks=blocks, more=more)


@pytest.fixture
def some(monkeypatch):
    """Real commands: two of them do what they have to."""
    well = Figures("benchmarks.md", ("rle", "ap"), command("rle", "ap"), ("full",), ("tiny",))
    half = replace(well, blocks=("fusion", "tissue"), command=command("fusion"))
    failing = replace(well, blocks=("swin",), command=command("swin", more="sys.exit(1)"))
    no_file = replace(well, blocks=("budget",), command=command("budget"), files=("drawn.svg",))
    drawing = command("loop", more="page.with_name('drawn.svg').write_text('drawn')")
    with_file = replace(well, blocks=("loop",), command=drawing, files=("drawn.svg",))
    absent = replace(well, blocks=("size",), lacking=lambda _: "no such machine")

    def take(*names):
        known = {"well": well, "half": half, "failing": failing, "no_file": no_file}
        known |= {"with_file": with_file, "absent": absent}
        monkeypatch.setattr(everything, "figures", lambda _: tuple(known[name] for name in names))

    monkeypatch.chdir(DOCS.parent)
    return take


def test_each_block_of_the_copy_is_renewed_or_left_out_with_a_reason(some, tmp_path, capsys):
    some("well", "with_file", "absent")
    before, pages = (DOCS / "benchmarks.md").read_text(), tmp_path / "pages"
    assert main(["all", "--tiny", "--docs", str(pages)]) == 0
    told = capsys.readouterr().out
    assert "renewed    benchmarks.md: rle, ap in " in told
    assert "left out   benchmarks.md: size: no such machine" in told
    assert block(pages / "benchmarks.md", "ap") == "new figures by tiny"
    assert (pages / "drawn.svg").read_text() == "drawn"
    assert block(pages / "benchmarks.md", "size") == block(DOCS / "benchmarks.md", "size")
    assert (DOCS / "benchmarks.md").read_text() == before


@pytest.mark.parametrize("name", ["half", "failing", "no_file"])
def test_a_command_that_fails_or_leaves_a_block_as_it_was_is_a_failure(some, name, tmp_path, capsys):
    some(name)
    pages = tmp_path / "pages"
    assert main(["all", "--docs", str(pages)]) == 1
    assert "FAILED     benchmarks.md" in capsys.readouterr().out
    renewed = {"half": "fusion", "failing": "swin", "no_file": "budget"}[name]
    assert block(pages / "benchmarks.md", renewed) == "new figures by full"
    assert block(pages / "benchmarks.md", "tissue") == block(DOCS / "benchmarks.md", "tissue")


def test_only_some_tables_are_made_again(some, tmp_path, capsys):
    some("well", "with_file")
    pages = tmp_path / "pages"
    assert main(["all", "--only", "ap", "--docs", str(pages)]) == 0
    told = capsys.readouterr().out
    assert "renewed    benchmarks.md: rle, ap in " in told
    assert "loop" not in told
    with pytest.raises(KitError, match="no table is called 'swn'"):
        main(["all", "--only", "ap", "swn"])


def test_figures_of_the_tiny_form_never_come_into_the_docs(some, tmp_path):
    some("well")
    with pytest.raises(KitError, match="tiny form"):
        main(["all", "--tiny", "--write-docs"])
    with pytest.raises(KitError, match="tiny form"):
        main(["ensemble", "--tiny", "--write-docs"])
    (tmp_path / "mine.txt").touch()
    with pytest.raises(KitError, match="not empty"):
        main(["all", "--tiny", "--docs", str(tmp_path)])
