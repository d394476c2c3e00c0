"""The texts that an expression can become, with <names> where values stand.

f"no recipe is called {name!r}"            no recipe is called <name>
f"{len(lost)} image{'s' if many else ''}"  <number> image[s]
problem                                    every text that the function assigns to `problem`
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from documents.sources import Function, Source

_MOST = 8
"""Texts of one expression that are followed; a message with more values than that is shown with <names>."""
_DEPTH = 6
_SHOWN_AS_THEY_ARE = frozenset({"str", "repr", "sorted", "shown", "list", "set", "tuple"})
_STRIPPED = frozenset({"strip", "rstrip", "lstrip", "removesuffix", "removeprefix"})


class Texts:
    """Turns expressions of the project's modules into the texts that they can become.

    Args:
        sources: module name -> source.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._bound: dict[str, ast.expr] = {}

    @contextmanager
    def bound(self, values: Mapping[str, ast.expr]) -> Iterator[None]:
        """Follow some names to these expressions meanwhile: those of one row of a table that a loop reads."""
        before, self._bound = self._bound, dict(values)
        try:
            yield
        finally:
            self._bound = before

    def of(self, node: ast.expr | None, source: Source, depth: int = 0) -> list[str]:
        """Return the texts that an expression of a module can become; ["<name>"] where nothing is known."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return [""]
        found = self._of(node, source, depth) if depth < _DEPTH else []
        return list(dict.fromkeys(found))[:_MOST] or [placeholder(node)]

    def _of(  # noqa: C901, PLR0911 - one return for each form
        self, node: ast.expr, source: Source, depth: int
    ) -> list[str]:
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return _joined([self._part(part, source, depth) for part in parts])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _joined([self.of(left, source, depth), [self._optional(right, source, depth)]])
            case ast.IfExp(body=body, orelse=other):
                return [*self.of(body, source, depth), *self.of(other, source, depth)]
            case ast.BoolOp(values=values):
                return [text for value in values for text in self.of(value, source, depth) if text]
            case ast.Name(id=name):
                return self._name(name, node, source, depth + 1)
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in _STRIPPED:
                return self.of(value, source, depth)
            case ast.Call(func=ast.Attribute(value=ast.Dict(values=values), attr="get"), args=[_, default]):
                return [text for value in (*values, default) for text in self.of(value, source, depth)]
            case ast.Call(func=ast.Attribute(attr="join"), args=[ast.Name() as items]):
                return [
                    text for value in _appended(items, source) for text in self.of(value, source, depth + 1)
                ]
            case ast.Subscript(value=ast.Name(id=name)):
                return self._choices(name, source, depth + 1)
            case ast.Call(func=ast.Name(id="said"), args=[in_nox, alone]):
                return [*self.of(in_nox, source, depth), *self.of(alone, source, depth)]
            case ast.Call(func=ast.Name(id=name)):
                returned = _returned(name, source)
                return [text for value in returned for text in self.of(value, source, depth + 1)]
        return []

    def _part(self, part: ast.expr, source: Source, depth: int) -> list[str]:
        """One piece of an f-string; a value that is one of a few texts is written as these."""
        if not isinstance(part, ast.FormattedValue):
            return self.of(part, source, depth)
        if isinstance(part.value, ast.Name):
            if (row := self._bound.get(part.value.id)) is not None:
                return [self._optional(row, source, depth)]
            constant = self._constant(part.value.id, source)
            if constant is not None:
                return self.of(*constant, depth + 1)
        return [self._optional(part.value, source, depth)]

    def _optional(self, node: ast.expr, source: Source, depth: int) -> str:
        """Write `"s" if many else ""` as [s], and `"in" if new else "out"` as (in|out)."""
        if isinstance(node, ast.IfExp):
            texts = [*self.of(node.body, source, depth + 1), *self.of(node.orelse, source, depth + 1)]
            return _one_of(texts)
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            return self.of(node, source, depth)[0]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            texts = self._choices(node.value.id, source, depth + 1)
        elif isinstance(node, ast.Name) and depth < _DEPTH:
            texts = self._words(node, source, depth)
        else:
            texts = []
        return _one_of(texts) if texts else placeholder(node)

    def _words(self, node: ast.Name, source: Source, depth: int) -> list[str]:
        """What a local name stands for if it is one of a few known words, and nothing else."""
        if node.id in self._bound:
            return [self._optional(self._bound[node.id], source, depth + 1)]
        function = source.function_around(node)
        values = [] if function is None else _reaching(node, function, source)
        # {True: "safe", False: "not safe"}[told] is one of these words.
        values = [
            inner
            for value in values
            for inner in (
                value.value.values
                if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Dict)
                else [value]
            )
        ]
        if len(values) == 1 and isinstance(values[0], ast.JoinedStr | ast.IfExp):
            return [self._optional(values[0], source, depth + 1)]
        known = (ast.Constant, ast.IfExp)
        if not values or not all(isinstance(value, known) for value in values):
            return []
        texts = [text for value in values for text in self.of(value, source, depth + 1)]
        return [] if any(not text or "<" in text or "[" in text or "(" in text for text in texts) else texts

    def _choices(self, name: str, source: Source, depth: int) -> list[str]:
        """The texts of a module's table {KEY: TEXT}; none if the name is something else."""
        constant = self._constant(name, source)
        if constant is None or not isinstance(constant[0], ast.Dict) or len(constant[0].values) > _MOST:
            return []
        return [text for value in constant[0].values for text in self.of(value, constant[1], depth)]

    def _name(self, name: str, node: ast.Name, source: Source, depth: int) -> list[str]:
        if name in self._bound:
            return self.of(self._bound[name], source, depth)
        function = source.function_around(node)
        while function is not None:
            values = _reaching(node, function, source)
            if values:
                return [text for value in values for text in self.of(value, source, depth)]
            if name in _parameters(function):
                calls = _calls_of(function, source)
                given = [argument(call, function, name) for call in calls]
                return [text for value in given if value for text in self.of(value, source, depth)]
            function = source.function_around(function)
        constant = self._constant(name, source)
        return [] if constant is None else self.of(*constant, depth)

    def _constant(self, name: str, source: Source) -> tuple[ast.expr, Source] | None:
        """The value of a module's constant, of this module or of one that it imports it from."""
        if name in source.constants:
            return source.constants[name], source
        module, there = source.imported.get(name, ("", ""))
        other = self._sources.get(module)
        return None if other is None or there not in other.constants else (other.constants[there], other)


def placeholder(node: ast.expr) -> str:  # noqa: PLR0911 - one return for each form
    """Return what stands for a value: <name>, after the last word of the expression that makes it."""
    match node:
        case ast.Call(func=ast.Name(id="len" | "sum" | "max" | "min" | "round")):
            return "<number>"
        case ast.Call(func=ast.Name(id="counted"), args=[_, ast.Constant(value=str(word)), *_]):
            return f"<number> {word}[s]"
        case ast.Call(func=ast.Attribute(attr="join"), args=[items]):
            return placeholder(items)
        case ast.Call(func=ast.Name(id="map"), args=[_, items]):
            return placeholder(items)
        case ast.Call(func=ast.Name(id=name), args=[first, *_]):
            return placeholder(first) if name in _SHOWN_AS_THEY_ARE else _last(ast.Name(name))
        case ast.GeneratorExp(generators=[comprehension, *_]) | ast.ListComp(generators=[comprehension, *_]):
            return placeholder(comprehension.iter)
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return placeholder(value)
        case ast.BoolOp(values=[first, *_]):
            return placeholder(first)
        case ast.BinOp() | ast.UnaryOp() | ast.Compare():
            return "<number>"
    return _last(node)


def _last(node: ast.expr) -> str:
    words = re.findall(r"[A-Za-z_]\w*", ast.unparse(node))
    word = str(words[-1]) if words else "value"
    return f"<{word.strip('_').replace('_', ' ') or 'value'}>"


def _joined(parts: Sequence[Sequence[str]]) -> list[str]:
    combined = itertools.islice(itertools.product(*parts), _MOST)
    return ["".join(pieces) for pieces in combined]


def _parameters(function: Function) -> list[str]:
    arguments = function.args
    return [item.arg for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]


def _one_of(texts: Sequence[str]) -> str:
    """Write ["", "s"] as [s], ["in", "out"] as (in|out) and ["in"] as it is."""
    texts = list(dict.fromkeys(texts))
    written = [text for text in texts if text]
    if len(written) < len(texts):
        return f"[{'|'.join(written)}]"
    return written[0] if len(written) == 1 else f"({'|'.join(written)})"


def _assigned(name: str, function: Function) -> list[tuple[ast.AST, ast.expr]]:
    """(statement, value) of what a function gives a name; of `for problem, fix in ...`, `a, b = f()` none."""
    found: list[tuple[ast.AST, ast.expr]] = []
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                found.append((node, value))
            case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                found.append((node, value))
            case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                found.append((node, value))
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=False)
                found += [
                    (node, value)
                    for target, value in pairs
                    if isinstance(target, ast.Name) and target.id == name
                ]
    return found


def _appended(items: ast.Name, source: Source) -> list[ast.expr]:
    """The texts that a function adds to a list: `told.append(f"...")`."""
    function = source.function_around(items)
    return [
        call.args[0]
        for call in (ast.walk(function) if function is not None else ())
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "append"
        and ast.unparse(call.func.value) == items.id
        and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    ]


def _reaching(node: ast.Name, function: Function, source: Source) -> list[ast.expr]:
    """The values that a name can have where it is read.

    text = "a"; report.alarm(text, ...)            of another function's `text = "b"` further down, nothing
    text = "a"; if late: text = "b"; ...text       both
    """
    given = _assigned(node.id, function)
    around = set(source.around(node))
    earlier = [(place, value) for place, value in given if _line(place) <= node.lineno]
    # An assignment beside a statement that holds the name always happens before: older ones are overwritten.
    certain = [
        _line(place)
        for place, _ in earlier
        if isinstance(place, ast.Assign)
        and source.parents[place] in around
        and _same_branch(place, around, source)
    ]
    since = max(certain, default=0)
    return [value for place, value in earlier if _line(place) >= since] or [value for _, value in given]


def _same_branch(place: ast.AST, around: set[ast.AST], source: Source) -> bool:
    """Whether a statement stands in the list of statements that holds the name, too: not in an `else`."""
    branches = [items for _, items in ast.iter_fields(source.parents[place]) if isinstance(items, list)]
    return any(place in items and not around.isdisjoint(items) for items in branches)


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def rows(call: ast.AST, source: Source) -> list[dict[str, ast.expr]]:
    """Return the rows of the table that a loop around a call reads, as name -> value; [{}] without one.

    for problem, fix in (("late", "wait"), ("early", "hurry")): report.error(problem, path, fix)
    """
    for outer in source.around(call):
        match outer:
            case ast.For(target=ast.Tuple(elts=targets), iter=ast.Tuple(elts=items) | ast.List(elts=items)):
                names = [target.id if isinstance(target, ast.Name) else "" for target in targets]
                return [
                    dict(zip(names, item.elts, strict=False)) for item in items if isinstance(item, ast.Tuple)
                ] or [{}]
    return [{}]


def _returned(name: str, source: Source) -> list[ast.expr]:
    """What a function of the module returns, if it returns a text."""
    return [
        inner.value
        for node in source.tree.body
        if isinstance(node, Function) and node.name == name and ast.unparse(node.returns or node) == "str"
        for inner in ast.walk(node)
        if isinstance(inner, ast.Return) and inner.value is not None
    ]


def _calls_of(function: Function, source: Source) -> list[ast.Call]:
    """The calls of a function or method in its own module; none of `__init__`: its class is called."""
    if function.name == "__init__":
        return []
    return [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == function.name)
            or (isinstance(node.func, ast.Attribute) and node.func.attr == function.name)
        )
    ]


def argument(call: ast.Call, function: Function, name: str) -> ast.expr | None:
    """Return what a call gives for a parameter of a function, by name or by place; None for a default."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    places = [item.arg for item in (*function.args.posonlyargs, *function.args.args)]
    if isinstance(call.func, ast.Attribute) and places[:1] in (["self"], ["cls"]):
        places = places[1:]
    at = places.index(name) if name in places else len(call.args)
    return call.args[at] if at < len(call.args) else None
