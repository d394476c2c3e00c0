"""Every message that the kit can print, found in its code: the errors, alarms and lines of a run.

These forms are known:

    KitError(PROBLEM, where=..., fix=FIX)            also its subclasses, and `super().__init__` inside them
    report.error(PROBLEM, WHERE, FIX)                a finding in somebody's files; `alarm` and `note` as well
    class CheckError(Exception); CheckError(TEXT)    a detail of another message
    a function of `wording` that returns a text      a line of predict.py's log
    a function of `ends` that returns two            how a process ended, and what to do about it
    found.append(TEXT), [TEXT] in `verdict`          why a submission is not safe, and the verdict itself
    notes.append(TEXT)                               what is worth knowing of an image or a listing
    print(TEXT), screen.print(TEXT), say(TEXT)       a line of a command that has some words
    user.error(PROBLEM, FIX)                         a model of somebody's own that does not do what it says
    session.error(TEXT)                              a session of nox that cannot begin
    self.error(TEXT), ArgumentError(action, TEXT)    of the command line's parser
    NO_SIZE = "A whole sentence."                    a constant that a table or a page shows
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from documents.message_text import Texts, argument, rows
from documents.sources import Function, Source

Level = Literal["error", "alarm", "note", "verdict", "detail", "line"]
WORDINGS = ("submission.runtime.result.wording", "submission.runtime.result.hidden_run")
"""Modules whose functions return the lines of predict.py's log."""
ENDS = ("train_local.ends",)
"""Modules whose functions return (what happened, what to do)."""
VERDICTS = ("kit.plan.hidden_run", "submission.rehearsal.verdict")
"""Modules that say in texts of a list whether a submission is safe, and why not."""
PARSER = "kit.local.parser"
_FINDINGS: dict[str, Level] = {"error": "error", "alarm": "alarm", "note": "note"}
_REPORTS = frozenset({"report", "remarks", "found", "told"})
_PRINTING = frozenset({"print", "say"})
_WORDS = 3
"""Words that a printed line has at least, apart from its values: fewer are a table's or a heading's."""
_SENTENCE = 6
"""Words of a constant that is a message: a whole sentence."""
_REPORT_CLASSES = frozenset({"Report", "Remarks"})
_PARSER_FIX = "the command with --help shows what there is"
_FIX_AT = 2
"""Place of the fix in `report.error(problem, where, fix)`."""
_PASSED_ON = frozenset({"problem", "message", "fix"})
"""Attributes of a message that was made elsewhere: `KitError(error.problem, where=..., fix=error.fix)`."""


@dataclass(frozen=True, order=True)
class Message:
    """One message.

    Attributes:
        module: that makes it.
        problem: its text, with <names> where values stand.
        fix: what it says that is to be done; "" if nothing.
        level: "error" ends a command with code 2; "alarm": valid, but hardly meant so; "note": worth knowing;
            "verdict": whether a submission is safe; "detail": stands inside an error; "line": printed while
            a command goes on.
        cause: when it is raised, in the words of the code's documentation; "" where it has none.
    """

    module: str
    problem: str
    fix: str
    level: Level
    cause: str


def find(sources: Mapping[str, Source]) -> list[Message]:
    """Return every message of some modules, each once, sorted by module and text."""
    texts = Texts(sources)
    kinds = _kinds(sources)
    found: set[Message] = set()
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                for row in rows(node, source):
                    with texts.bound(row):
                        found.update(_of_call(node, source, texts, kinds))
                        found.update(_of_line(node, source, texts))
        found.update(_of_sentences(source))
        if source.name in WORDINGS:
            found.update(_of_wordings(source, texts))
        if source.name in ENDS:
            found.update(_of_ends(source, texts))
        if source.name in VERDICTS:
            found.update(_of_verdicts(source, texts))
    # A text that is found as an error needs no second entry as a line.
    told = {(message.module, message.problem) for message in found if message.level != "line"}
    found = {item for item in found if item.level != "line" or (item.module, item.problem) not in told}
    return sorted(found)


def without_fix(found: Iterable[Message]) -> list[Message]:
    """Return the errors and alarms that say nothing of what is to be done."""
    return [message for message in found if not message.fix and message.level in {"error", "alarm"}]


@dataclass(frozen=True)
class _Kinds:
    """The project's own exceptions.

    Attributes:
        of: class -> "error" for KitError and its subclasses, "detail" for other exceptions.
        worded: classes that make their text of other arguments: Unclear("datasets.CreateDataset", what).
    """

    of: dict[str, Level]
    worded: frozenset[str]


def _kinds(sources: Mapping[str, Source]) -> _Kinds:
    classes = [
        node
        for source in sources.values()
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and node.bases
    ]
    bases = {node.name: {base.id for base in node.bases if isinstance(base, ast.Name)} for node in classes}
    errors = {"KitError"}
    while more := {name for name, above in bases.items() if above & errors} - errors:
        errors |= more
    details = {
        name
        for name, above in bases.items()
        if name.endswith("Error") and above & {"Exception", "ValueError"} and name not in errors
    }
    of: dict[str, Level] = {**dict.fromkeys(errors, "error"), **dict.fromkeys(details, "detail")}
    worded = frozenset(
        node.name
        for node in classes
        if node.name != "KitError"
        and any(isinstance(item, ast.FunctionDef) and item.name == "__init__" for item in node.body)
    )
    return _Kinds(of, worded)


def _of_call(call: ast.Call, source: Source, texts: Texts, kinds: _Kinds) -> Iterator[Message]:
    holder = next((node.name for node in source.around(call) if isinstance(node, ast.ClassDef)), "")
    match call.func:
        case ast.Name(id=name) if name in kinds.of and name not in kinds.worded:
            yield from _made(call, source, texts, kinds.of[name])
        case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
            if holder in kinds.worded and kinds.of.get(holder) == "error":
                yield from _made(call, source, texts, "error")
        case ast.Attribute(value=owner, attr=attr) if attr in _FINDINGS and call.args:
            name = ast.unparse(owner).rpartition(".")[2].lstrip("_")
            fix = call.args[2] if len(call.args) > _FIX_AT else _keyword(call, "fix")
            if name in _REPORTS or (name == "self" and holder in _REPORT_CLASSES):
                level, cause = _FINDINGS[attr], _cause(call, source)
                yield from _paired(call.args[0], fix, source, texts, level=level, cause=cause)
            elif attr == "error":
                yield from _of_owner(name, call, source, texts)
        case ast.Attribute(attr="ArgumentError") if source.name == PARSER:
            for message in _paired(call.args[1], None, source, texts, level="error", cause=""):
                yield Message(source.name, message.problem, _PARSER_FIX, "error", "")


def _of_owner(owner: str, call: ast.Call, source: Source, texts: Texts) -> Iterator[Message]:
    """The text of `owner.error(TEXT)`, where the owner is somebody's own model, a session or the parser."""
    if owner == "user" and len(call.args) > 1:
        problem, fix = call.args[:2]
        yield from _paired(problem, fix, source, texts, level="error", cause=_cause(call, source))
    elif owner == "session" or source.name == PARSER:
        for message in _paired(call.args[0], None, source, texts, level="error", cause=""):
            text, advice = message.problem, _PARSER_FIX
            if owner == "session":
                text, _, advice = message.problem.partition(": ")
            yield Message(source.name, text, advice, "error", "")


def _of_line(call: ast.Call, source: Source, texts: Texts) -> Iterator[Message]:
    """What a call prints, or adds to the notes of an image."""
    match call:
        case ast.Call(func=ast.Name(id=name), args=[text, *_]) if name in _PRINTING:
            level: Level = "line"
        case ast.Call(func=ast.Attribute(attr=name), args=[text, *_]) if name in _PRINTING:
            level = "line"
        case ast.Call(func=ast.Attribute(value=notes, attr="append"), args=[text]) if ast.unparse(
            notes
        ).endswith("notes"):
            level = "note"
        case _:
            return
    for written in texts.of(text, source):
        line, _, fix = _plain(written).partition(" fix: ")
        if len(_words(line)) >= _WORDS:
            yield Message(source.name, line, fix, level, "")


def _of_sentences(source: Source) -> Iterator[Message]:
    for name, value in source.constants.items():
        if name.startswith("_") or not isinstance(value, ast.Constant) or not isinstance(value.value, str):
            continue
        text = _plain(value.value)
        if text[:1].isupper() and text.endswith(".") and len(_words(text)) >= _SENTENCE:
            yield Message(source.name, text, "", "line", "")


def _of_verdicts(source: Source, texts: Texts) -> Iterator[Message]:
    """Texts that are collected in a list, `found.append(TEXT)`, `found = [TEXT]`, or that `_text` returns."""
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="append"), args=[ast.Constant() | ast.JoinedStr() as text]):
                given: list[ast.expr] = [text]
            case ast.List(elts=elements):
                given = [item for item in elements if isinstance(item, ast.Constant | ast.JoinedStr)]
            case ast.FunctionDef(name="_text"):
                returns = [item for item in ast.walk(node) if isinstance(item, ast.Return)]
                given = [item.value for item in returns if item.value is not None]
            case _:
                continue
        for item in given:
            for written in texts.of(item, source):
                if len(_words(written)) >= _WORDS:
                    yield Message(source.name, _plain(written), "", "verdict", "")


def _made(call: ast.Call, source: Source, texts: Texts, level: Level) -> Iterator[Message]:
    """Messages of one call of an exception's class."""
    problem = call.args[0] if call.args else _keyword(call, "problem")
    fix = _keyword(call, "fix")
    if problem is None or _is_passed_on(problem):
        return
    function = source.function_around(call)
    if isinstance(problem, ast.Name) and function is not None:
        calls = list(_wrapped(problem.id, fix, function, source))
        for given, advice, place in calls:
            yield from _paired(given, advice, source, texts, level=level, cause=_cause(place, source))
        if calls:
            return
    yield from _paired(problem, fix, source, texts, level=level, cause=_cause(call, source))


def _wrapped(
    problem: str, fix: ast.expr | None, function: Function, source: Source
) -> Iterator[tuple[ast.expr, ast.expr | None, ast.AST]]:
    """Yield (problem, fix, call) of each call of a function that makes an error of its arguments.

    def error(self, problem, advice): return KitError(problem, fix=f"{advice}; {self.fix}")
    raise place.error("no such key", "remove it")         gives ("no such key", "remove it")
    """
    names = [item.arg for item in (*function.args.args, *function.args.kwonlyargs)]
    if problem not in names:
        return
    advising = [name for name in names if name in {"fix", "advice"}]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        given = argument(node, function, problem) if called == function.name else None
        if given is not None:
            yield given, argument(node, function, advising[0]) if advising else fix, node


def _paired(
    problem: ast.expr, fix: ast.expr | None, source: Source, texts: Texts, *, level: Level, cause: str
) -> Iterator[Message]:
    """Yield the texts of a problem with those of its fix: pairwise if as many, else each with all."""
    problems = [_plain(text) for text in texts.of(problem, source)]
    fixes = [_plain(text) for text in texts.of(fix, source)]
    if len(problems) == len(fixes):
        pairs = list(zip(problems, fixes, strict=True))
    else:
        fixes = [text for text in fixes if text] or [""]
        pairs = [(text, advice) for text in problems for advice in fixes]
    for text, advice in pairs:
        # A text of placeholders only was made elsewhere; "<strerror>" by the system: "Permission denied".
        if _has_words(text):
            yield Message(source.name, text, advice, level, cause)


def _of_wordings(source: Source, texts: Texts) -> Iterator[Message]:
    for node in source.tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        if ast.unparse(node.returns or ast.Constant(None)) in {"str", "Iterator[str]"}:
            yield from _of_wording(node, source, texts)
    for name, value in source.constants.items():
        if not name.startswith("_") and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield Message(source.name, _plain(value.value), "", "line", "")


def _of_wording(function: ast.FunctionDef, source: Source, texts: Texts) -> Iterator[Message]:
    cause = _plain((ast.get_docstring(function) or "").split("\n\n")[0])
    if cause.startswith(("Return ", "Yield ")):
        cause = ""  # it tells a programmer what the function does, and a reader nothing
    for node in ast.walk(function):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            for text in texts.of(node.value, source):
                line, _, fix = _plain(text).partition(" fix: ")
                if _has_words(line):
                    level: Level = "verdict" if line.startswith("verdict") else "line"
                    yield Message(source.name, line, fix, level, cause)


def _of_ends(source: Source, texts: Texts) -> Iterator[Message]:
    cause = _plain((ast.get_docstring(source.tree) or "").split("\n\n")[0]).rstrip(".")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
            what, fix = node.value.elts[:2]
            yield from _paired(what, fix, source, texts, level="error", cause=cause)


def _cause(node: ast.AST, source: Source) -> str:
    """Return when an error is raised: `Raises:` of a function around it; "" where nothing tells it."""
    for outer in source.around(node):
        if isinstance(outer, Function):
            raises = re.search(
                r"\n\s*Raises:\n(.*?)(?:\n\s*\n|\Z)", ast.get_docstring(outer) or "", re.DOTALL
            )
            if raises and (told := re.search(r"\w*Error: (.*)", raises[1], re.DOTALL)):
                return _plain(re.split(r"\n\s*\w+: ", told[1])[0]).rstrip(".")
    return ""


def _is_passed_on(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _PASSED_ON


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _has_words(text: str) -> bool:
    return bool(re.sub(r"<[^>]*>|\W", "", text))


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", " ", text))


def _plain(text: str) -> str:
    return " ".join(text.split())
