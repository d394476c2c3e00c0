"""Shorten a module for predict.py: of docstrings and comments the beginning stays, and indents are halved.

What goes (arguments, errors, background, half the spaces) is a quarter of the sources. A reader of predict.py
needs the code and what it is for; an author who changes it has the repository. For example, the docstring of
5 lines

    Return the number of pixels.

    Every run has a start
    and a length.

(the fifth line has the closing quotes) becomes one line and the comment `# +4`. A comment of 3 lines becomes
its first sentence and `# +2`. The importer of predict.py replaces such a mark by blank lines (`full_length`),
so that tracebacks show the repository's line numbers. The code also runs without this.
"""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator

from submission.runtime.script.importer import LEFT_OUT

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# A sentence ends with ".", "!" or "?" before a space or the line's end. These are no ends: "e.g. ", "i.e. ",
# the dots of "1, 2, ..." and the number in "1. Who is asked for?".
_SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\.\.)(?<!^# \d)[.!?][)\"'`\]]*(?=\s|$)")
_FOR_TOOLS = re.compile(r"#\s*(noqa|type:|fmt:|ruff:|mypy:|pragma:|!)")


def shortened(text: str) -> str:
    """Return a module's text with short comments, docstrings and indents; the code stays.

    Args:
        text: of the module, indented by 4 spaces. It holds no line that looks like a mark.
    """
    return half_indented(first_paragraphs(first_sentences(text)))


def looks_shortened(text: str) -> bool:
    """Whether a line looks like a mark, so that the importer would replace it by blank lines."""
    return LEFT_OUT.search(text) is not None


def first_paragraphs(text: str) -> str:
    """Return a module's text with the first paragraph of each docstring, and a mark for the others."""
    lines = text.split("\n")
    # From the last to the first, so that the line numbers of those above stay valid.
    for docstring in sorted(_docstrings(text), key=lambda docstring: docstring.lineno, reverse=True):
        first, end = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        blank = next((index for index in range(first, end) if not lines[index].strip()), end)
        if blank == end:
            continue
        # A docstring at lines 3 to 7 with a blank line 4: `first` is 2, `end` 7, `blank` 3 (indices from 0).
        # Line 3 gets the closing quotes. The mark for 7 - 3 = 4 lines replaces the lines 4 to 7. After a
        # quotation mark, a space has to stand before the closing quotes.
        last = lines[blank - 1]
        kept = last + (" " if last.endswith('"') else "") + '"' * 3
        lines[blank - 1 : end] = [kept, _mark(end - blank, docstring.col_offset)]
    return "\n".join(lines)


def first_sentences(text: str) -> str:
    """Return a module's text with the first sentence of each comment, and a mark for its other lines."""
    lines = text.split("\n")
    for first, end in reversed(list(_blocks(text))):
        # A comment at lines 8 to 11 whose first sentence ends within line 9: `first` is 7, `end` 11, `stop`
        # 9. Line 9 loses what follows the sentence. The mark for 11 - 9 = 2 lines replaces lines 10 and 11.
        ends = ((index, _SENTENCE_END.search(lines[index].strip())) for index in range(first, end))
        line, found = next(((index, found) for index, found in ends if found), (end, None))
        stop = line + 1
        if found is None or stop >= end:
            continue
        indent = len(lines[first]) - len(lines[first].lstrip())
        short = [" " * indent + lines[line].strip()[: found.end()], _mark(end - stop, indent)]
        lines[line:end] = short
    return "\n".join(lines)


def half_indented(text: str) -> str:
    """Return a module's text with half the spaces at the beginning of lines; strings keep theirs."""
    lines = text.split("\n")
    # The second line of a string belongs to its value, so it keeps its spaces. Nobody needs a docstring's.
    fixed = set(_lines_in_strings(text)) - {
        line for node in _docstrings(text) for line in range(node.lineno, node.end_lineno or node.lineno)
    }
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip(" "))
        if number not in fixed:
            lines[number] = line[indent - indent // 2 :]
    return "\n".join(lines)


def _docstrings(text: str) -> list[ast.stmt]:
    """The docstrings of a module, its classes and its functions, without empty ones."""
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, _DOCUMENTED)]
    return [node.body[0] for node in nodes if ast.get_docstring(node)]


def _lines_in_strings(text: str) -> Iterator[int]:
    """Yield the lines (indices from 0) that begin inside a string."""
    begins: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        # Up to Python 3.11 an f-string is one token; later it has a token at its begin and one at its end.
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            begins.append(token.start[0])
        elif kind == "FSTRING_END":
            yield from range(begins.pop(), token.end[0])
        elif kind == "STRING":
            yield from range(token.start[0], token.end[0])


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the first line and the end (indices from 0) of each comment that has lines of its own."""
    # Only the tokenizer knows which "#" begins a comment and which stands in a string.
    comments = [
        (token.start[0] - 1, token.start[1])
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and _is_prose(token)
    ]
    # Neighbours in one column belong together: lines 8, 9, 10 and 14 in column 4 are two comments.
    for _, group in itertools.groupby(
        enumerate(comments), key=lambda item: (item[1][0] - item[0], item[1][1])
    ):
        block = [line for _, (line, _) in group]
        yield block[0], block[-1] + 1


def _is_prose(token: tokenize.TokenInfo) -> bool:
    """Whether a comment has its line to itself and is for people: "# noqa" is not."""
    own_line = not token.line[: token.start[1]].strip()
    return own_line and not _FOR_TOOLS.match(token.string) and not LEFT_OUT.match(token.string + "\n")


def _mark(count: int, indent: int) -> str:
    """The comment that stands for some lines, e.g. "    # +4"."""
    return f"{' ' * indent}# +{count}"
