"""Docstrings as predict.py carries them: of functions and classes the first paragraph.

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

_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def first_paragraphs(text: str) -> str:
    """Return a module's text with a short comment for all but the first paragraph of each docstring.

    Args:
        text: of the module. Its own docstring and all comments stay whole.
    """
    lines = text.split("\n")
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, _DOCUMENTED)]
    for node in sorted(nodes, key=lambda node: node.lineno, reverse=True):  # numbers above stay valid
        if ast.get_docstring(node) is None:
            continue
        docstring = node.body[0]
        assert docstring.end_lineno is not None
        first, end = docstring.lineno - 1, docstring.end_lineno
        blank = next((index for index in range(first, end) if not lines[index].strip()), end)
        if blank == end:
            continue
        last = lines[blank - 1]
        kept = last + (" " if last.endswith('"') else "") + '"' * 3
        lines[blank - 1 : end] = [kept, f"{' ' * docstring.col_offset}# ... {end - blank} more lines"]
    return "\n".join(lines)
