"""Numbers in messages are worded by kit.local.wording: `counted` for "1 file", `amount` for "4.2 MB"."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmarks", "bundle", "documents", "kit/local", "submission", "train_local")
APART = (ROOT / "submission" / "runtime", ROOT / "bundle" / "packages")
"""What predict.py carries has words of its own, and what a wheel of ours carries has no messages."""
NOUN = re.compile(r" (?!without)(?:[a-z]+ )?(?:[a-z]{3,}s)\b")
PART_OF = re.compile(r"(?:\bof|\bof the|\ball) $")
"""As in "2 of 3 files", where the noun is the same for every number."""
NEVER_ONE = {
    ("bundle/dataset.py", "len(top)"): "more than Kaggle takes",
    ("bundle/dataset_metadata.py", "len(slug)"): "a name of one character is no word to count",
    ("bundle/dataset_metadata.py", "len(title)"): "the limits are 6 and 50",
    ("bundle/dataset_metadata.py", "len(subtitle)"): "the limits are 20 and 80",
    ("bundle/probe/probe_kernel.py", "len(seen['freeze'])"): "it runs on Kaggle without the kit",
    ("bundle/probe/probe_kernel.py", "len(seen['tags'])"): "it runs on Kaggle without the kit",
    ("bundle/requirements/report.py", "len(names)"): "fewer are named",
    ("bundle/shadow_report.py", "len(names)"): "fewer are named",
    ("bundle/upload/staging.py", "len(str(path))"): "more than the client takes",
    ("kit/local/competitions/metadata_tables.py", "len(ids)"): "one is named",
    ("kit/local/kaggle/account.py", "len(token)"): "more than a token has",
    ("kit/local/kaggle/kernel_metadata.py", "len(title)"): "the limits are 5 and 50",
    ("kit/local/new_competition/table_guesses.py", "len(rest)"): "one is what it needs",
    ("submission/installer/render.py", "len(found)"): "one is what it needs",
    ("train_local/add_model/loading.py", "len(models)"): "one is what it needs",
    ("train_local/jobs/summary.py", "len(names)"): "fewer are named",
    ("benchmarks/budget/picture.py", "len(worlds)"): "a picture of thousands",
    ("benchmarks/workers.py", "len(VIEWS)"): "a constant",
}

OTHER_UNITS = {
    "bundle/upload/display.py": "what is done has the unit of the whole",
    "submission/rehearse.py": "Kaggle's machine is told in GiB",
    "kit/local/offline/sandbox.py": "Kaggle's machine is told in GiB",
    "train_local/recipes/document.py": "a GPU's memory is told in GiB",
}


def uncounted(text):
    """Yield line and expression of each count that stands before a plural whatever it is."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part, following in zip(node.values, [*node.values[1:], None], strict=True):
            if isinstance(part, ast.Constant):
                before = part.value
                continue
            call = part.value
            counts = isinstance(call, ast.Call) and ast.unparse(call.func) in {"len", "sum"}
            words = following.value if isinstance(following, ast.Constant) else ""
            if counts and NOUN.match(words) and not PART_OF.search(before):
                yield part.lineno, ast.unparse(call)
            before = ""


def unworded(text):
    """Yield line and expression of each number of bytes that is divided where it is printed."""
    for node in ast.walk(ast.parse(text)):
        parts = node.values if isinstance(node, ast.JoinedStr) else ()
        for part, following in pairwise(parts):
            if isinstance(part, ast.FormattedValue) and isinstance(following, ast.Constant):
                division = part.value if isinstance(part.value, ast.BinOp) else None
                if division is not None and re.match(r" [kMG]B\b(?!/s)", following.value):
                    yield part.lineno, ast.unparse(division)


def found(rule=uncounted):
    for name in PACKAGES:
        for path in sorted((ROOT / name).rglob("*.py")):
            if not any(place in path.parents for place in APART):
                for line, call in rule(path.read_text()):
                    yield str(path.relative_to(ROOT)), line, call


def test_counts_in_messages_have_the_singular_too():
    wrong = [f"{path}:{line}: {call}" for path, line, call in found() if (path, call) not in NEVER_ONE]
    assert wrong == [], "use kit.local.wording.counted"


def test_bytes_in_messages_have_their_unit_from_one_place():
    wrong = [f"{path}:{line}: {call}" for path, line, call in found(unworded) if path not in OTHER_UNITS]
    assert wrong == [], "use kit.local.wording.amount"
    assert {path for path, *_ in found(unworded)} == OTHER_UNITS.keys()


def test_what_is_left_out_is_there():
    assert {(path, call) for path, _, call in found()} >= NEVER_ONE.keys()


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ('f"{size / 1e6:.1f} MB"', ["size / 1000000.0"]),
        ('f"{size >> 20} GB are free"', ["size >> 20"]),
        ('f"{speed / 1e6:.0f} MB/s"', []),
        ('f"{amount(size)} are free"', []),
    ],
)
def test_the_rule_of_bytes(text, sizes):
    assert [size for _, size in unworded(text)] == sizes


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('f"{len(files)} files"', ["len(files)"]),
        ('f"{sum(sizes)} large files are there"', ["sum(sizes)"]),
        ('f"{len(done)} of {len(files)} files"', []),
        ('f"all {len(files)} files"', []),
        ("f\"{counted(len(files), 'file')}\"", []),
        ('f"{len(name)} is odd"', []),
    ],
)
def test_the_rule_itself(text, calls):
    assert [call for _, call in uncounted(text)] == calls
