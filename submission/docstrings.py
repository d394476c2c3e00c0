"""Docstrings as predict.py carries them: the first paragraph of each.

The rest (arguments, attributes, errors, background) is a sixth of the sources. Who reads predict.py follows
the code; who changes it has the repository. A comment says how many lines are left out. For example, the
docstring of 5 lines

    Return the number of pixels.

Args:
        runs: starts and lengths.

(the fifth holds the closing quotes) becomes one line, and below it stands `# ... 4 more lines`. The importer
of predict.py puts 4 blank lines there (`full_length`), so that every line of code has its number again. The
code also runs without that.
"""

from __future__ import annotations

import ast

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def first_paragraphs(text: str) -> str:
    """Return a module's text with a short comment for all but the first paragraph of each docstring.

    Args:
        text: of the module. All comments stay.
    """
    lines = text.split("\n")
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, _DOCUMENTED)]
    docstrings = [node.body[0] for node in nodes if ast.get_docstring(node) is not None]
    # From the last to the first, so that the line numbers of those above stay valid.
    for docstring in sorted(docstrings, key=lambda docstring: docstring.lineno, reverse=True):
        assert docstring.end_lineno is not None
        first, end = docstring.lineno - 1, docstring.end_lineno
        blank = next((index for index in range(first, end) if not lines[index].strip()), end)
        if blank == end:
            continue
        last = lines[blank - 1]
        kept = last + (" " if last.endswith('"') else "") + '"' * 3
        lines[blank - 1 : end] = [kept, f"{' ' * docstring.col_offset}# ... {end - blank} more lines"]
    return "\n".join(lines)
