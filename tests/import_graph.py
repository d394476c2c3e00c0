"""Which file imports which: `python -m tests.import_graph` prints the rooms, their floors and every circle.

The graph is read from the sources with `ast`; nothing is imported. An import inside a function counts too,
because a reader has to follow it all the same. A package's `__init__.py` counts as a file of its own.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option, parse

ROOT = Path(__file__).parents[1]
PACKAGES = ("kit", "bundle", "submission", "train_local", "benchmarks")
SEPARATE = "bundle/packages"
"""Sources of our own wheels: they are projects of their own."""

Graph = Mapping[str, frozenset[str]]
"""Module -> modules it imports, both dotted names of files in `PACKAGES`."""


def sources(root: Path = ROOT, packages: Iterable[str] = PACKAGES) -> dict[str, Path]:
    """Return the files of some packages by dotted name, e.g. "kit.masks.rle"."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            if not relative.as_posix().startswith(SEPARATE):
                parts = relative.with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read(files: Mapping[str, Path]) -> Graph:
    """Return the graph of some files.

    `from kit.masks import rle` is an import of the file `kit.masks.rle`, not of the package; `from kit.masks
    import Runs` is one of `kit/masks/__init__.py`.
    """
    return {name: frozenset(set(_imports(path, files)) - {name}) for name, path in files.items()}


def _imports(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.Call) and _imported_by_name(node) in files:
            yield _imported_by_name(node)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in files:
                    yield inner
                elif node.module in files:
                    yield node.module


def _imported_by_name(node: ast.Call) -> str:
    """Return the name in `importlib.import_module("kit.masks.rle")`; empty for other calls."""
    function, first = ast.unparse(node.func), node.args[0] if node.args else None
    if function.endswith("import_module") and isinstance(first, ast.Constant):
        return str(first.value)
    return ""


def circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected groups of more than one file (Tarjan 1972), each sorted.

    Example: a imports b, b imports c, c imports b. The groups are {a} and {b, c}; {b, c} is a circle.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        path.append(name)
        for other in sorted(graph[name]):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            group = path[path.index(name) :]
            del path[path.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return found


def room(name: str) -> str:
    """Return the folder of a file: the package and at most two folders below it."""
    parts = name.split(".")
    return "/".join(parts[:-1][:3]) or name


def rooms(graph: Graph, files: Mapping[str, Path]) -> Graph:
    """Return the graph between folders."""
    folder = {name: _folder(name, files) for name in graph}
    result: dict[str, set[str]] = {}
    for name, others in graph.items():
        target = result.setdefault(folder[name], set())
        target.update(folder[other] for other in others if folder[other] != folder[name])
    return {name: frozenset(others) for name, others in result.items()}


def _folder(name: str, files: Mapping[str, Path]) -> str:
    return name.replace(".", "/") if files[name].name == "__init__.py" else room(name)


def reached(graph: Graph, entries: Iterable[str]) -> set[str]:
    """Return everything that some files import, directly or through others, themselves included."""
    waiting, found = list(entries), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


@dataclass(frozen=True)
class Size:
    """How much there is of some files.

    Attributes:
        files: how many.
        lines: all of them.
        comments: lines that hold a comment; switches for tools ("# noqa", "# type:") do not count.
    """

    files: int
    lines: int
    comments: int

    @property
    def per_100(self) -> float:
        """Comment lines per 100 lines."""
        return 100 * self.comments / max(self.lines, 1)


def size(paths: Iterable[Path]) -> Size:
    """Count the lines and the comments of some files."""
    count = lines = comments = 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        count, lines = count + 1, lines + text.count("\n")
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        comments += sum(token.type == tokenize.COMMENT and not _is_switch(token.string) for token in tokens)
    return Size(count, lines, comments)


def _is_switch(comment: str) -> bool:
    return comment.lstrip("# ").startswith(("noqa", "type:", "fmt:", "!"))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Print folders with their size and the folders they import, then the circles; 1 if there is one."""

    root: Path = field(default=ROOT, metadata=option("checkout to look at", metavar="DIR"))


def main() -> int:
    """Run the command line; return 1 if there is a circle."""
    root = parse(sys.argv[1:], Options, prog="python -m tests.import_graph").root
    files = sources(root)
    graph = read(files)
    between = rooms(graph, files)
    for name in sorted(between):
        own = size(path for module, path in files.items() if _folder(module, files) == name)
        figures = f"{own.files:3} files {own.lines:6} lines {own.per_100:5.2f} comments per 100"
        print(f"{name:<32} {figures}  imports {', '.join(sorted(between[name])) or 'nothing'}")
    everything = size(files.values())
    print(f"{'all':<32} {everything.files:3} files {everything.lines:6} lines {everything.per_100:5.2f}")
    found = circles(graph)
    for circle in found:
        print(f"circle of {len(circle)} files: {', '.join(circle)}")
    print(f"{len(found)} circles" if found else "no circle")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
