"""The project's own source files as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("kit", "train_local", "bundle", "submission")
"""Packages whose messages people see."""
SESSIONS = "noxfile.py"
_FOREIGN = ("bundle", "packages")
"""Wheels of our own, which know nothing of the kit."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        name: of the module, "kit.masks.rle"; a package's own file has the package's.
        tree: its syntax tree.
    """

    name: str
    tree: ast.Module

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Node -> the node that holds it."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def constants(self) -> dict[str, ast.expr]:
        """Name -> value, of what the module assigns once at its top level."""
        found: dict[str, ast.expr] = {}
        for node in self.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    found[name] = value
        return found

    @cached_property
    def imported(self) -> dict[str, tuple[str, str]]:
        """Name here -> (module, name there), of `from MODULE import NAME as NAME_HERE`."""
        return {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield what holds a node, from the innermost on."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function_around(self, node: ast.AST) -> Function | None:
        """Return the innermost function around a node; None at the top level."""
        return next((outer for outer in self.around(node) if isinstance(outer, Function)), None)


def read(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, Source]:
    """Return module name -> source, of all files of some packages, sorted by name, and of nox's sessions.

    Args:
        root: the repository.
        packages: names of its top-level packages.
    """
    found = {}
    for path in sorted(path for package in packages for path in (root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[: len(_FOREIGN)] == _FOREIGN:
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Source(name, ast.parse(path.read_text(encoding="utf-8")))
    if (sessions := root / SESSIONS).is_file():
        found[sessions.stem] = Source(sessions.stem, ast.parse(sessions.read_text(encoding="utf-8")))
    return found
