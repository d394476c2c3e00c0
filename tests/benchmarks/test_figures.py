"""Figures stand where a command writes them: pages show no others, and each block names its command."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import everything
from benchmarks.markdown import DOCS, block
from benchmarks.options import EverythingOptions
from documents.pages import PAGES

ROOT = Path(__file__).parents[2]
MADE = {file for file, _ in PAGES.values()} | {"docs/recipes.md"}
"""Pages that are made from the code; other tests hold them against it."""
HAND_WRITTEN = [
    path
    for path in (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
    if str(path.relative_to(ROOT)) not in MADE
]
UNITS = "(?:s|ms|MB|kB|GB|GiB|%|x|seconds|minutes)"
FIGURE = re.compile(rf"-?\d+\.\d+(?: {UNITS})?|-?\d+ {UNITS}|.*\b0\.\d{{3,}}.*")
"""A cell that is a decimal or has a unit, and one with a score of three digits or more."""
CELLS = {
    ("bundle.md", "3.12"): "a version of Python",
    ("own-model.md", "1.0"): "the default of an option",
    (
        "models.md",
        "autocast on the CPU stays within 0.1 and 0.025 of the output's deviation",
    ): "a test's limit",
    ("ensemble.md", "threshold 0.5 of the logit, 0.6225 of the probability"): "the published setting",
}
"""Cells that look like a figure -> what they are."""
MEASURED = re.compile(
    r"\d[\d,.-]* (?:s|ms|MB|kB|GB|seconds|minutes|hours)\b(?:/s)?|\d[\d.-]* %|\d+\.\d{2,}|\d\.\d+ x\b"
)
CONDITIONS = (
    "Islands of real tissue cover 40 % of it",
    "a slide's of 30000 x 30000 with 5 % foreground",
    "Each slide has 16 maps of 200 MB",
    "So that 48 GB need not be on the disk",
    "discs in 40 % of their columns",
    "whole rungs* starts the next rung if 1.6 x its forecast fits",
    "logs of an A6000 with 48 GB",
    "with wheels of 300 MB",
    "Kaggle refuses a notebook of 1,000 kB or more",
)
"""What a sentence of docs/benchmarks.md may say in numbers: what was drawn, chosen or published."""
DRAWN = "| drawn | from |"
"""Head of the one table of docs/benchmarks.md that says from what worlds are drawn."""
NO_MACHINE = {"registry", "packages", "matrix", "size"}
"""Blocks whose figures are the same on every machine, so that no line says where they were made."""
NOT_MEASURED = {"recipes": "Not measured: "}
"""Blocks that still wait for a machine which can measure them, and how they say so."""
SIZES = {
    *("--rounds", "--seconds", "--size", "--threads", "--worlds", "--jobs", "--tiles", "--distinct"),
    *("--schedules", "--runs", "--seed", "--sizes", "--native-mmcv", "--write-docs"),
    *("--prepared", "--predict", "--bundle", "--data", "--found"),
}
"""Options that say how much is measured, and where demo, examples or peers lie, but not what is measured."""
OPTIONS = EverythingOptions(native_mmcv=Path("DIR"))


def own_words(page):
    """The text of a page without the blocks that commands write, and without code."""
    text = re.sub(r"<!-- ([a-z-]+) -->.*?<!-- end of \1 -->", "", page, flags=re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`", "", text)


def cells(text):
    for line in text.splitlines():
        if line.startswith("|"):
            yield from (cell.strip() for cell in line.strip().strip("|").split("|"))


def figures_in_tables(page):
    return [cell for cell in cells(own_words(page)) if FIGURE.fullmatch(cell)]


@pytest.mark.parametrize("path", HAND_WRITTEN, ids=lambda path: path.name)
def test_no_table_shows_figures_that_no_command_writes(path):
    text = path.read_text()
    assert [cell for cell in figures_in_tables(text) if (path.name, cell) not in CELLS] == []
    assert not re.search(r"noted by\s+hand", text)


def test_every_exception_is_still_needed():
    found = {(path.name, cell) for path in HAND_WRITTEN for cell in figures_in_tables(path.read_text())}
    assert CELLS.keys() <= found


@pytest.mark.parametrize(
    "cell", ["0.7643", "100 %", "12.5", "3.2 s", "238 s", "Dice 0.8165, 0.7834", "28 kB"]
)
def test_a_figure_in_a_table_is_found(cell):
    assert figures_in_tables(f"| what | value |\n| --- | --- |\n| this | {cell} |\n") == [cell]
    assert figures_in_tables(f"<!-- rle -->\n| this | {cell} |\n<!-- end of rle -->\n") == []


def measured_sentences(page):
    tables = re.split(r"\n\n", own_words(page))
    text = " ".join(" ".join(part for part in tables if DRAWN not in part).split())
    for allowed in CONDITIONS:
        assert text.count(allowed) == 1, allowed
        text = text.replace(allowed, "")
    return [text[max(0, found.start() - 50) : found.end() + 10] for found in MEASURED.finditer(text)]


def test_sentences_of_the_benchmarks_page_say_no_measured_figure():
    page = (DOCS / "benchmarks.md").read_text()
    assert measured_sentences(page) == []
    assert measured_sentences(f"{page}\nOurs took 79 s, and the libraries 700 MB.") != []


def footers():
    for item in everything.figures(OPTIONS):
        for name in item.blocks:
            text = block(DOCS / item.document, name)
            found = re.findall(r"^(?:.*; )?`((?:python -m|nox -s) [^`]+)` on ", text, flags=re.MULTILINE)
            yield pytest.param(item, name, text, found, id=f"{item.document}-{name}")


def what(words):
    """The words of a command without the options that say its size, nor their values."""
    kept, skipping = [], False
    for word in words:
        if word.startswith("--"):
            skipping = word in SIZES
        if not skipping:
            kept.append(word)
    return kept


@pytest.mark.parametrize(("item", "name", "text", "found"), list(footers()))
def test_the_command_below_a_block_is_one_that_bench_runs(item, name, text, found):
    if name in NO_MACHINE or text.startswith(NOT_MEASURED.get(name, " ")):
        assert found == []
        return
    (command,) = found
    ours = what([*item.command[1:], *item.full])
    words = what(shlex.split(command))
    if words[0] == "nox":  # `nox -s faults -- --runs 300` is `python -m tests.faults --runs 300`
        assert words == ["nox", "-s", "faults", "--"]
        assert ours == ["tests.faults" if "--runs" in command else "tests.kaggle_server"]
        return
    # A verb without --part makes several parts at once, or its first one.
    assert words[2:] in (ours, ours[:2] if ours[2:3] == ["--part"] else ours)


def test_the_readme_shows_the_scores_of_the_demo():
    readme, rows = (ROOT / "README.md").read_text(), block(DOCS / "benchmarks.md", "demo").splitlines()
    shown = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row.startswith("|")]
    for name, _, *scores in (row[:5] for row in shown[2:]):
        assert "{}: submission {}, otsu {}, all-foreground {}".format(name, *scores) in readme
    assert len(shown) == 4
