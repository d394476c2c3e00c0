"""Find the modules that predict.py needs by following imports in the sources, without importing them.

submission.runtime.main     from kit.images import tiff  ->  kit, kit.images, kit.images.tiff
kit.images.tiff             import numpy                 ->  nothing, because Kaggle has numpy
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeGuard

from kit.errors import KitError
from submission.shortening import for_types_only, looks_shortened

PACKAGES = ("kit", "submission.runtime")
"""Packages whose modules may be embedded."""
LOCAL = "kit.local"
"""Package of the local sides; its modules must never be embedded."""
OPTIONS = "submission/runtime/script/options.py"
"""Path of the module whose `DEFAULT_BUDGET` is the script's budget on Kaggle."""


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes:
        name: dotted, e.g. "kit.masks.rle".
        path: below the root, e.g. "kit/masks/rle.py".
        text: content of the file.
    """

    name: str
    path: str
    text: str

    @property
    def package(self) -> str:
        """Name of the package from which its relative imports start."""
        return self.name if self.path.endswith("/__init__.py") else self.name.rpartition(".")[0]


def source_root() -> Path:
    """Return the folder with the packages' sources."""
    return Path(str(files("kit"))).parent


def collect(root: Path, *entries: str) -> list[Module]:
    """Return all modules that the entry points reach, sorted by path.

    Imports inside functions count. Imports below `if TYPE_CHECKING` do not count. A string that equals a
    module's full name counts, so that code may name a module as text.

    Args:
        root: folder with the packages.
        entries: dotted names of the entry points.

    Raises:
        KitError: a module cannot be embedded, or an entry point does not exist.
    """
    found: dict[str, Module] = {}
    waiting: list[tuple[Module, str]] = []
    for entry in entries:
        first = _module(root, entry)
        if first is None:
            raise KitError(
                f"the module {entry} does not exist", where=root, fix="restore it from the repository"
            )
        waiting.append((first, ""))
    while waiting:
        module, importer = waiting.pop()
        if module.name in found:
            continue
        if _below(module.name, LOCAL):
            raise KitError(
                f"{importer} imports {module.name}, but nothing in {LOCAL} may reach Kaggle",
                where=root / importer.replace(".", "/"),
                fix=f"move the importing code into {LOCAL}, or the imported code out of it",
            )
        _check_text(root, module)
        found[module.name] = module
        # "kit.images.tiff" also needs the __init__.py of "kit" and "kit.images". Names without a file are not
        # modules, e.g. "kit.artefacts.read_json" from `from kit.artefacts import read_json`.
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
            "the file has three single quotes in a row, which end a part of predict.py",
            where=f"{root / module.path}, line {line}",
            fix="use three double quotes",
        )
    if looks_shortened(module.text):
        raise KitError(
            "a line looks like '# +4', which stands for 4 lines that predict.py leaves out",
            where=root / module.path,
            fix="write the line in another way",
        )
    if module.text and not module.text.endswith("\n"):
        raise KitError("the file does not end with a newline", where=root / module.path, fix="add a newline")


@lru_cache(maxsize=1024)
def _imports(module: Module) -> frozenset[str]:
    return frozenset(_imported_names(module))


def _imported_names(module: Module) -> Iterator[str]:
    tree = ast.parse(module.text, module.path)
    skipped = {id(inner) for node in ast.walk(tree) if for_types_only(node) for inner in _body(node)}
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
    """Return whether a constant is a dotted name; "kit.inference." from an f-string is not."""
    return isinstance(value, str) and all(part.isidentifier() for part in value.split("."))


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    # In kit/images/tiff.py, `from ..masks import rle` has level 2: two parts of "kit.images" are counted from
    # the end, the last is dropped, and "kit" + "masks" gives "kit.masks".
    if node.level == 0:
        return node.module or ""
    parts = module.package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def _body(node: ast.If) -> Sequence[ast.AST]:
    return [inner for statement in node.body for inner in ast.walk(statement)]
