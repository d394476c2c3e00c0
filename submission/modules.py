"""Which modules predict.py needs: found by following imports from its entry point, importing nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from kit.errors import KitError

PACKAGES = ("kit", "submission.runtime")
"""What may be embedded."""
LOCAL = "kit.local"
"""What both local sides share; nothing in it may be embedded."""


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: dotted.
        path: below the root, e.g. "kit/masks/rle.py".
        text: as it is on disk.
    """

    name: str
    path: str
    text: str

    @property
    def package(self) -> str:
        """The package relative imports in it start from."""
        return self.name if self.path.endswith("/__init__.py") else self.name.rpartition(".")[0]


def collect(root: Path, *entries: str) -> list[Module]:
    """All modules reachable from some entry points, sorted by path.

    Imports inside functions count, those for type checkers only do not. A string that is a module's full name
    counts too, so that a registry may name its modules.

    Args:
        root: folder that holds the packages.
        entries: dotted names of the entry points.

    Raises:
        KitError: a module cannot be embedded, or an entry point is missing.
    """
    found: dict[str, Module] = {}
    waiting: list[tuple[Module, str]] = []
    for entry in entries:
        first = _module(root, entry)
        if first is None:
            raise KitError(f"module {entry} does not exist", where=root)
        waiting.append((first, ""))
    while waiting:
        module, importer = waiting.pop()
        if module.name in found:
            continue
        if _below(module.name, LOCAL):
            raise KitError(
                f"{importer} imports {module.name}, but nothing in {LOCAL} may reach Kaggle",
                where=root / importer.replace(".", "/"),
                fix=f"move the code that needs this import to {LOCAL}, or what it imports out of there",
            )
        _check_text(root, module)
        found[module.name] = module
        names = {name for name in _imports(module) if _embeddable(name)}
        names |= {parent for name in (module.name, *names) for parent in _parents(name)}
        waiting += [
            (other, module.name) for name in sorted(names) if (other := _module(root, name)) is not None
        ]
    return sorted(found.values(), key=lambda module: module.path)


def _embeddable(name: str) -> bool:
    return any(_below(name, package) for package in PACKAGES)


def _below(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for count in range(1, len(parts)):
        yield ".".join(parts[:count])


def _module(root: Path, name: str) -> Module | None:
    relative = name.replace(".", "/")
    for path in (f"{relative}/__init__.py", f"{relative}.py"):
        if (root / path).is_file():
            return Module(name, path, (root / path).read_text(encoding="utf-8"))
    return None


def _check_text(root: Path, module: Module) -> None:
    if "'" * 3 in module.text:
        line = module.text[: module.text.index("'" * 3)].count("\n") + 1
        raise KitError(
            "three single quotes in a row cannot be embedded in predict.py",
            where=f"{root / module.path}, line {line}",
            fix="use triple double quotes",
        )
    if module.text and not module.text.endswith("\n"):
        raise KitError("the file does not end with a newline", where=root / module.path, fix="add one")


def _imports(module: Module) -> Iterator[str]:
    tree = ast.parse(module.text, module.path)
    skipped = {id(inner) for node in ast.walk(tree) if _for_types_only(node) for inner in _body(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and _is_name(node.value):
            yield node.value


def _is_name(value: object) -> TypeGuard[str]:
    """Whether a constant is a dotted name; the "kit.inference." of an f-string is none."""
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    parts = module.package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _for_types_only(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _body(node: ast.AST) -> Sequence[ast.AST]:
    assert isinstance(node, ast.If)
    return [inner for statement in node.body for inner in ast.walk(statement)]
