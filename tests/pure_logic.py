"""Which files are pure logic: `python -m tests.pure_logic` prints them, `--why` what keeps the others out.

A file is pure if what it returns depends on its arguments alone, and if it touches nothing else. That is read
from the source, by three rules:

1. Of libraries it imports only those in `LIBRARIES`, which compute.
2. It calls nothing that asks the disk, the clock, the terminal or the import system (`DISK`, `CLOCK`,
   `CALLS`). A path is a value as long as the disk is not asked about it.
3. Of our other files it takes functions from pure ones only. Types and constants, whose names begin with a
   capital, it may take from any: naming a type touches nothing.

Example: kit/plan/state.py takes the type `Ensemble` from kit/ensemble.py, which reads a file, and stays pure.
A file that takes the function `load` from there is not.

`nox -s coverage` holds every pure file that has a branch to 100 % of its branches. pyproject.toml names the
few that join or leave these files, each with the reason.
"""

from __future__ import annotations

import ast
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option, parse
from kit.local.session_environment import pytest_processes
from tests import import_graph

ROOT = import_graph.ROOT
PACKAGES = ("bundle", "documents", "kit", "submission", "train_local")
LIBRARIES = frozenset(
    """
    __future__ abc argparse array ast base64 binascii bisect collections colorsys contextlib copy dataclasses
    datetime decimal difflib enum errno fnmatch fractions functools graphlib hashlib heapq html inspect
    itertools json keyword math numbers operator packaging pathlib random re reprlib shlex statistics string
    struct textwrap tokenize tomllib types typing unicodedata urllib warnings zlib
    cv2 numpy scipy sklearn
    """.split()  # noqa: SIM905 - a list of a hundred strings would be a page
)
"""Libraries that compute. torch is not one of them: it has devices, whose results differ."""
DISK = frozenset(
    """
    absolute chmod cwd exists expanduser glob hardlink_to home imread imwrite is_dir is_file is_symlink
    iterdir lstat mkdir open read_bytes read_text resolve rglob rmdir samefile stat symlink_to touch unlink
    urlopen write_bytes write_text
    """.split()  # noqa: SIM905 - the same
)
"""Methods of paths, and functions, that ask or change the disk or the network."""
CLOCK = frozenset({"now", "today", "utcnow"})
CALLS = frozenset({"__import__", "breakpoint", "exec", "import_module", "input", "open", "print"})


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Return the files the rules are about, by dotted name."""
    return import_graph.sources(root, PACKAGES)


def impure(files: Mapping[str, Path]) -> dict[str, str]:
    """Return why a file is not pure, for each that is not: "calls .read_text", "takes kit.masks.rle.load"."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in files.items()}
    found = {name: reason for name, tree in trees.items() if (reason := next(_touches(tree, files), ""))}
    taken = {name: sorted(_functions_taken(tree, files)) for name, tree in trees.items()}
    waiting = True
    while waiting:
        new = {
            name: f"takes {function}"
            for name, functions in taken.items()
            if name not in found
            for module, function in functions
            if module in found
        }
        found |= new
        waiting = bool(new)
    return found


def _touches(tree: ast.AST, files: Mapping[str, Path]) -> Iterator[str]:
    """Yield what a file itself does with the world around it."""
    ours = {name.split(".")[0] for name in files}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            foreign = [name for name in names if name.split(".")[0] not in LIBRARIES | ours]
            yield from (f"imports {name}" for name in foreign)
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            if node.attr in DISK or (node.attr in CLOCK and owner in {"datetime", "date"}):
                yield f"calls .{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"calls {node.func.id}"


def _functions_taken(tree: ast.AST, files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield (file, full name) of all that a file takes from our others, but for types and constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.name) for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in files:
                    yield inner, inner
                elif node.module in files and not alias.name.lstrip("_")[:1].isupper():
                    yield node.module, inner


def has_branch(path: Path) -> bool:
    """Return whether a file has a branch as coverage counts them: between lines, not within an expression."""
    kinds = (ast.If, ast.For, ast.While, ast.Try, ast.Match)
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@dataclass(frozen=True)
class Settings:
    """What pyproject.toml says in `[tool.pure-logic]`.

    Attributes:
        also: files that are held to 100 % though the rules say no -> why.
        left_out: pure files that are not held to it -> why.
        tests: tests that take branches, beside those whose path mirrors the file's.
    """

    also: dict[str, str]
    left_out: dict[str, str]
    tests: list[str]


def settings(root: Path = ROOT) -> Settings:
    """Read pyproject.toml."""
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pure-logic"]
    return Settings(table["also"], table["left-out"], table["tests"])


def pure(root: Path = ROOT) -> list[str]:
    """Return the paths of all pure files that have a branch, e.g. "kit/masks/rle.py"."""
    files = sources(root)
    wrong = impure(files)
    found = [path for name, path in files.items() if name not in wrong and has_branch(path)]
    return sorted(path.relative_to(root).as_posix() for path in found)


def measured(root: Path = ROOT) -> list[str]:
    """Return the paths of the files that have to be at 100 %."""
    chosen = settings(root)
    return sorted({*pure(root), *chosen.also} - set(chosen.left_out))


def mirrored(path: str) -> str:
    """Return where the tests of a file lie: "kit/masks/rle.py" -> "tests/kit/masks/test_rle.py"."""
    folder, _, name = path.rpartition("/")
    return f"tests/{folder}/test_{name}"


def takers(root: Path = ROOT) -> list[str]:
    """Return the paths of the tests that take the branches of the measured files."""
    more = settings(root).tests
    own = {path for path in map(mirrored, measured(root)) if (root / path).is_file()}
    return sorted({*more, *(path for path in own if not any(path.startswith(f"{each}/") for each in more))})


def arguments(root: Path = ROOT) -> list[str]:
    """Return pytest's arguments of a measurement: the tests that take the branches, in several processes."""
    return [*takers(root), "-m", "not slow", *pytest_processes()]


def write_settings(folder: Path, root: Path = ROOT) -> Path:
    """Return a file with coverage's settings; they are not in pyproject.toml, because rules choose the files.

    Args:
        folder: for the file and for what will be measured; what it has goes.
        root: of the checkout.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    held = set(measured(root))
    every = [path.relative_to(root).as_posix() for name in PACKAGES for path in (root / name).rglob("*.py")]
    run = {
        "branch": True,
        "source": list(PACKAGES),  # with a source, a file that no test imports counts, too
        "omit": sorted(set(every) - held),
        "data_file": str(folder / "data"),
        "parallel": True,  # each process that runs tests has a file of its own
        "patch": ["subprocess"],
    }
    report = {
        "fail_under": 100,
        "show_missing": True,
        "skip_covered": True,
        # The last case of a match over types always fits. Of the others the lines below them tell the same.
        "partial_also": ["^ *case .*:"],
    }
    lines = []
    for section, values in {"run": run, "report": report}.items():
        lines.append(f"[tool.coverage.{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]  # JSON's values are TOML's
    settings = folder / "settings.toml"
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return settings


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print the files that `nox -s coverage` holds to 100 % of their branches."""

    why: bool = field(default=False, metadata=option("print the other files, and why they are not pure"))


def main() -> int:
    """Run the command line."""
    if parse(sys.argv[1:], Options, prog="python -m tests.pure_logic").why:
        print(*(f"{name}: {reason}" for name, reason in sorted(impure(sources()).items())), sep="\n")
    else:
        print(*measured(), sep="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
