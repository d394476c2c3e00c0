"""The texts that an expression can become, with <names> where values stand.

f"no recipe is called {name!r}"            no recipe is called <name>
f"{len(lost)} image{'s' if many else ''}"  <number> image[s]
problem                                    every text that the function assigns to `problem`
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping, Sequence

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

    def of(self, node: ast.expr | None, source: Source, depth: int = 0) -> list[str]:
        """Return the texts that an expression of a module can become; ["<name>"] where nothing is known."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return [""]
        found = self._of(node, source, depth) if depth < _DEPTH else []
        return list(dict.fromkeys(found))[:_MOST] or [placeholder(node)]

    def _of(  # noqa: PLR0911 - one return for each form
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
            case ast.Call(func=ast.Name(id=name)):
                returned = _returned(name, source)
                return [text for value in returned for text in self.of(value, source, depth + 1)]
        return []

    def _part(self, part: ast.expr, source: Source, depth: int) -> list[str]:
        """One piece of an f-string; a value that is one of a few texts is written as these."""
        if not isinstance(part, ast.FormattedValue):
            return self.of(part, source, depth)
        if isinstance(part.value, ast.Name):
            constant = self._constant(part.value.id, source)
            if constant is not None:
                return self.of(*constant, depth + 1)
        return [self._optional(part.value, source, depth)]

    def _optional(self, node: ast.expr, source: Source, depth: int) -> str:
        """Write `"s" if many else ""` as [s], and `"in" if new else "out"` as (in|out)."""
        if isinstance(node, ast.IfExp):
            texts = [*self.of(node.body, source, depth + 1), *self.of(node.orelse, source, depth + 1)]
            texts = list(dict.fromkeys(texts))
            written = [text for text in texts if text]
            return f"[{'|'.join(written)}]" if len(written) < len(texts) else f"({'|'.join(written)})"
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            return self.of(node, source, depth)[0]
        return placeholder(node)

    def _name(self, name: str, node: ast.expr, source: Source, depth: int) -> list[str]:
        function = source.function_around(node)
        while function is not None:
            values = _assigned(name, function)
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


def _assigned(name: str, function: Function) -> list[ast.expr]:
    """The values that a function gives a name; of `for problem, fix in ...` and `a, b = f()` none."""
    found: list[ast.expr] = []
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                found.append(value)
            case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                found.append(value)
            case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                found.append(value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=False)
                found += [
                    value for target, value in pairs if isinstance(target, ast.Name) and target.id == name
                ]
    return found


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
