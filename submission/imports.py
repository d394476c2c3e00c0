"""What a script's modules import from other packages, and which of their names they use."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache

from submission.runtime.inputs.wheels import is_protected

_OURS = frozenset({"kit", "submission", "__future__"})


def imported(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the modules of other packages that some source files import, with the names they use.

    What only type checkers read does not count, nor what a module does without.

    Args:
        sources: path -> text.

    Returns:
        E.g. {"cv2": ["INTER_AREA", "resize"], "safetensors.torch": ["load_file"], "torch": []}.
    """
    found: dict[str, set[str]] = {}
    for path, text in sources.items():
        for module, names in _imported_by(path, text).items():
            found.setdefault(module, set()).update(names)
    # Names of torch and numpy do not matter: nothing may replace these.
    return {
        module: [] if is_protected(module.partition(".")[0]) else sorted(names)
        for module, names in found.items()
    }


@lru_cache(maxsize=1024)
def _imported_by(path: str, text: str) -> Mapping[str, frozenset[str]]:
    """Return the modules that one file imports, each with the names it uses."""
    found: dict[str, set[str]] = {}
    aliases: dict[str, str] = {}
    tree = ast.parse(text, path)
    for node in _statements(tree):
        for module, names, alias in _modules(node):
            found.setdefault(module, set()).update(names)
            if alias is not None:
                aliases[alias] = module
    # After `import cv2`, every cv2.resize counts as a name of cv2.
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            found[aliases[node.value.id]].add(node.attr)
    return {module: frozenset(names) for module, names in found.items()}


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a file, without those that need not run."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.With) and any("suppress(" in ast.unparse(item) for item in node.items):
            continue
        elif isinstance(node, ast.Try) and not _told(node):
            waiting += [*node.orelse, *node.finalbody]
        else:
            waiting += ast.iter_child_nodes(node)


def _told(node: ast.Try) -> bool:
    """Whether a failed import would end in an error all the same."""
    # A handler that sets the module to None does without it. One that raises an error of ours needs it.
    handlers = [item for item in node.handlers if "ImportError" in ast.unparse(item.type or node)]
    return all(any(isinstance(inner, ast.Raise) for inner in ast.walk(item)) for item in handlers)


def _modules(node: ast.AST) -> Iterator[tuple[str, list[str], str | None]]:
    """Yield the modules of an import statement, names taken from each, and the name the module gets."""
    if isinstance(node, ast.Import):
        for item in node.names:
            if _foreign(item.name):
                plain = item.asname or (item.name if "." not in item.name else None)
                yield item.name, [], plain
    elif isinstance(node, ast.ImportFrom) and node.level:
        return  # a package of one's own asks itself
    elif isinstance(node, ast.ImportFrom) and node.module is not None and _foreign(node.module):
        yield node.module, [item.name for item in node.names], None


def _foreign(module: str) -> bool:
    top = module.partition(".")[0]
    return top not in _OURS and top not in sys.stdlib_module_names
