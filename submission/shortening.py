"""Shorten a module for predict.py: its docstring becomes one sentence; all others, comments and types go.

Indents are halved. What goes is a third of the sources. A reader of predict.py needs the code and what it is
for; an author who changes it has the repository. For example, the docstring of 5 lines

    Return the number of pixels.

    Every run has a start
    and a length.

(the fifth line has the closing quotes) becomes one line and the mark `# +4`. A comment of 3 lines becomes
`# +3`, one of a single line a blank line. The importer of predict.py replaces a mark by blank lines
(`full_length`), so that tracebacks show the repository's line numbers. It also compiles each module as if it
began with the import of `annotations`, which goes, too.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeGuard

from submission.runtime.script.importer import LEFT_OUT

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# A sentence ends with ".", "!" or "?" before a space or the line's end. These are no ends: "e.g. ", "i.e. "
# and the dots of "1, 2, ...".
_SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\.\.)[.!?][)\"'`\]]*(?=\s|$)")
_FUTURE = re.compile(r"^from __future__ import annotations$", re.MULTILINE)
_FOR_TYPES = frozenset({"typing", "collections.abc", "pathlib"})
_MARKS = re.compile(r"(?:^ *# \+\d+\n)+", re.MULTILINE)


@lru_cache(maxsize=1024)  # whoever renders several ensembles has the same modules in all
def shortened(text: str) -> str:
    """Return a module's text with short docstrings and indents, without comments; the code stays.

    Args:
        text: of the module, indented by 4 spaces. It holds no line that looks like a mark.
    """
    return half_indented(
        joined_marks(without_comments(without_imports(without_types(short_docstrings(without_future(text))))))
    )


def without_future(text: str) -> str:
    """Return a module's text with a blank line for the import that makes annotations texts.

    The importer compiles all modules as if they had it; `nox -s bench -- size` says what that saves.
    """
    return _FUTURE.sub("", text, count=1)


def looks_shortened(text: str) -> bool:
    """Whether a line looks like a mark, so that the importer would replace it by blank lines."""
    return LEFT_OUT.search(text) is not None


def short_docstrings(text: str) -> str:
    """Return a module's text with the first sentence of each docstring, and a mark for its other lines.

    Functions, classes and constants lose theirs: modules say what they are for. Options keep it for `--help`.
    """
    lines = text.split("\n")
    # From the last to the first, so that the line numbers of those above stay valid.
    gone = {item.lineno: item for item in _dispensable(text)}
    kept = {item.lineno: item for item in _docstrings(text)}
    for number, docstring in sorted((kept | gone).items(), reverse=True):
        first, end = docstring.lineno - 1, docstring.end_lineno or docstring.lineno
        indent = docstring.col_offset
        if number in gone:
            lines[first:end] = [_mark(end - first, indent)]
            continue
        blank = next((index for index in range(first, end) if not lines[index].strip()), end)
        ends = ((index, _sentence_end(lines[index])) for index in range(first, blank))
        line, stop = next(((index, stop) for index, stop in ends if stop), (blank - 1, len(lines[blank - 1])))
        if line + 1 >= end:
            continue
        # A docstring at lines 3 to 7 whose first sentence ends within line 3: `first` and `line` are 2, `end`
        # is 7 (indices from 0). Line 3 gets the closing quotes. The mark for 7 - 3 = 4 lines replaces the
        # lines 4 to 7. After a quotation mark, a space has to stand before the closing quotes.
        last = lines[line][:stop]
        closed = last + (" " if last.endswith('"') else "") + '"' * 3
        lines[line:end] = [closed, _mark(end - line - 1, indent)]
    return "\n".join(lines)


def without_types(text: str) -> str:
    """Return a module's text whose functions do not say the types of arguments, results and variables.

    Those of classes and modules stay: a dataclass reads the types of its fields. So does a type that goes
    over several lines.
    """
    # def area(height: int, width: int = 1) -> float:     becomes     def area(height, width = 1):
    #     rows: list[int] = []                                            rows = []
    lines = [line.encode() for line in text.split("\n")]  # `ast` counts bytes
    for row, begin, end in sorted(_types(text, lines), reverse=True):
        lines[row] = lines[row][:begin] + lines[row][end:]
    return b"\n".join(lines).decode()


def _types(text: str, lines: Sequence[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield line (from 0), begin and end of each type of a function, with the signs before it."""
    tree = ast.parse(text)
    variables = {id(node) for node in _variables(tree, inside=False)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            kind, first, begin = node.annotation, node.lineno, node.col_offset + len(node.arg.encode())
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            kind, first = node.returns, node.returns.lineno
            before = lines[first - 1][: kind.col_offset].rstrip()
            begin = len(before.removesuffix(b"->").rstrip())
        elif isinstance(node, ast.AnnAssign) and id(node) in variables:
            kind, first = node.annotation, node.lineno
            begin = node.target.end_col_offset or 0
        else:
            continue
        if first == kind.lineno == kind.end_lineno:
            yield first - 1, begin, kind.end_col_offset or begin


def _variables(node: ast.AST, *, inside: bool) -> Iterator[ast.AnnAssign]:
    """Yield the variables of functions that get a value where their type is said."""
    for child in ast.iter_child_nodes(node):
        if inside and isinstance(child, ast.AnnAssign) and child.value is not None:
            yield child
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _variables(child, inside=function or (inside and not isinstance(child, ast.ClassDef)))


def without_imports(text: str) -> str:
    """Return a module's text without the imports that only types needed.

    These are what stands below `if TYPE_CHECKING`, which never runs, and names of `typing`, `collections.abc`
    and `pathlib` that no code uses.
    """
    tree, lines = ast.parse(text), text.split("\n")
    for block in [item for item in tree.body if for_types_only(item) and not item.orelse]:
        tree.body.remove(block)
        first, end = block.lineno - 1, block.end_lineno or block.lineno
        lines[first:end] = [""] * (end - first)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom) or node.module not in _FOR_TYPES:
            continue
        kept = [ast.unparse(name) for name in node.names if (name.asname or name.name) in used]
        first, end = node.lineno - 1, node.end_lineno or node.lineno
        lines[first] = f"from {node.module} import {', '.join(kept)}" if kept else ""
        lines[first + 1 : end] = [""] * (end - first - 1)
    return "\n".join(lines)


def for_types_only(node: ast.AST) -> TypeGuard[ast.If]:
    """Return whether a statement is an `if TYPE_CHECKING`: its body never runs."""
    if not isinstance(node, ast.If):
        return False
    test = node.test
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def without_comments(text: str) -> str:
    """Return a module's text with a mark for each comment that has a line of its own, without the others."""
    lines = text.split("\n")
    # Only the tokenizer knows which "#" begins a comment and which stands in a string.
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or looks_shortened(token.line):
            continue
        row, column = token.start
        before = lines[row - 1][:column].rstrip()
        lines[row - 1] = before or _mark(1, column)
    return "\n".join(lines)


def joined_marks(text: str) -> str:
    """Return a text with one mark for neighbouring ones, and a blank line for a mark of one line."""

    def joined(marks: re.Match[str]) -> str:
        # "# +1\n# +3\n" becomes "# +4\n".
        count = sum(int(number) for number in LEFT_OUT.findall(marks[0]))
        indent = len(marks[0]) - len(marks[0].lstrip(" "))
        return "\n" if count == 1 else _mark(count, indent) + "\n"

    return _MARKS.sub(joined, text)


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


def _dispensable(text: str) -> Iterator[ast.stmt]:
    """Yield the docstrings of functions and classes with code, and those of constants and fields."""
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, _DOCUMENTED):
            continue
        goes = not isinstance(node, ast.Module) and len(node.body) > 1 and not _is_shown(node)
        for item in node.body[0 if goes else 1 :]:
            # A string may share its line with code: `def f(): "Do it."; return 1`.
            before = lines[item.lineno - 1][: item.col_offset]
            after = lines[(item.end_lineno or item.lineno) - 1][item.end_col_offset :]
            if _is_string(item) and not before.strip() and not after.strip():
                yield item


def _is_shown(node: ast.AST) -> bool:
    """Whether the docstring is what `--help` begins with: that of a class with command line options."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id == "option"
        for item in ast.walk(node)
    )


def _is_string(statement: ast.stmt) -> bool:
    """Whether a statement is a string that nobody uses."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _sentence_end(line: str) -> int | None:
    """The column after the first sentence that ends in a line, None if none does."""
    found = _SENTENCE_END.search(line)
    return None if found is None else found.end()


def _mark(count: int, indent: int) -> str:
    """The comment that stands for some lines, e.g. "    # +4"."""
    return f"{' ' * indent}# +{count}"
