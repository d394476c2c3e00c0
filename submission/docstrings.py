"""Shorten docstrings for predict.py to their first paragraph.

The other paragraphs (arguments, attributes, errors, background) are a sixth of the sources. A reader of
predict.py needs the code; an author who changes it has the repository. A comment says how many lines are left
out. For example, the docstring of 5 lines

    Return the number of pixels.

Args:
        runs: starts and lengths.

(the fifth line has the closing quotes) becomes one line and the comment `# ... 4 more lines`. The importer of
predict.py replaces this comment by 4 blank lines (`full_length`), so that tracebacks show the repository's
line numbers. The code also runs without this.
"""

from __future__ import annotations

import ast

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def first_paragraphs(text: str) -> str:
    """Return a module's text with the first paragraph of each docstring, and a comment for the others.

    Args:
        text: of the module. Its comments stay.
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
        # A docstring at lines 3 to 7 with a blank line 4: `first` is 2, `end` 7, `blank` 3 (indices from 0).
        # Line 3 gets the closing quotes. The comment for 7 - 3 = 4 lines replaces the lines 4 to 7. After a
        # quotation mark, a space has to stand before the closing quotes.
        last = lines[blank - 1]
        kept = last + (" " if last.endswith('"') else "") + '"' * 3
        lines[blank - 1 : end] = [kept, f"{' ' * docstring.col_offset}# ... {end - blank} more lines"]
    return "\n".join(lines)
