"""Read the values of a pickle without Python's own `pickle`: nothing is imported, nothing of it is called.

A pickle is a program for a small machine with a stack. Python's machine calls whatever the program names.
This one knows a fixed table of names (`pickled_names`), and each stands for a function of ours that makes a
plain value or a record. Instances of classes that training libraries leave behind become empty records. Every
other name ends the reading.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

from kit.local.pretrained.stored import BrokenCheckpointError, RefusedNameError

Maker = Callable[..., Any]

_PUSHED = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
        "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    }
)  # fmt: skip
"""Instructions whose argument is the value that they push."""
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
}
_SPARE_WORK = 1_000_000


class Name:
    """A class or function that the pickle names; it is only a text."""

    def __init__(self, text: str) -> None:
        self.text = text


class Foreign:
    """An instance of a class that is not looked at, e.g. a library's history of losses; it holds nothing."""


class Machine:
    """The machine for one pickle.

    Args:
        makers: by name, what a call of that name gives; it takes the call's arguments.
        known: whether a name without a maker may occur, as a type that stands for itself.
        foreign: whether a name without a maker is a class whose instances become `Foreign`.
        storage: takes the identifier of something outside the pickle and returns it.
        work: the pickle's size in bytes, which limits the work.
    """

    # Values of a pickle       here
    #   set, frozenset         a list, since hash() of a deep tuple in it would overflow the stack
    #   key of a dictionary    a text, a number, bytes, a Name, or a flat tuple of them
    #   state of an object     dropped, but that of a numpy array or type, which are records of ours

    def __init__(
        self,
        makers: Mapping[str, Maker],
        known: Callable[[str], bool],
        foreign: Callable[[str], bool],
        storage: Callable[[Any], Any],
        work: int,
    ) -> None:
        self._makers, self._known, self._foreign, self._storage = makers, known, foreign, storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._work = work + _SPARE_WORK
        self._steps: dict[str, Callable[[Any], None]] = {
            "PROTO": self._nothing,
            "FRAME": self._nothing,
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "POP": lambda _: self._drop(),
            "POP_MARK": lambda _: self._drop_to_mark(),
            "DUP": lambda _: self._stack.append(self._stack[-1]),
            "LIST": lambda _: self._stack.append(self._since_mark()),
            "TUPLE": lambda _: self._stack.append(tuple(self._since_mark())),
            "FROZENSET": lambda _: self._stack.append(self._since_mark()),
            "DICT": lambda _: self._stack.append(_pairs(self._since_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "APPEND": lambda _: self._extend([self._stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "ADDITEMS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._update([self._stack.pop(-2), self._stack.pop()]),
            "SETITEMS": lambda _: self._update(self._since_mark()),
            "PUT": self._put,
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "GET": lambda index: self._stack.append(self._memo[index]),
            "BINGET": lambda index: self._stack.append(self._memo[index]),
            "LONG_BINGET": lambda index: self._stack.append(self._memo[index]),
            "GLOBAL": lambda both: self._name(*both.split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._name(self._stack.pop(-2), self._stack.pop()),
            "REDUCE": lambda _: self._call(self._stack.pop(-2), self._stack.pop()),
            "NEWOBJ": lambda _: self._new(self._stack.pop(-2), self._stack.pop()),
            "NEWOBJ_EX": lambda _: self._new(self._stack.pop(-3), self._stack.pop(-2), self._stack.pop()),
            "BUILD": lambda _: self._build(self._stack.pop()),
            "BINPERSID": lambda _: self._stack.append(self._storage(self._stack.pop())),
        }

    def run(self, stream: IO[bytes]) -> Any:
        """Return the value of the pickle that begins at the stream's position; stop behind it.

        Raises:
            BrokenCheckpointError: the pickle is damaged or has instructions that no checkpoint needs.
            RefusedNameError: it asks for a name that it has no business with.
        """
        try:
            for code, argument, _ in pickletools.genops(stream):
                if code.name == "STOP":
                    return self._stack.pop()
                self._step(code.name, argument)
        except (BrokenCheckpointError, RefusedNameError):
            raise
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise BrokenCheckpointError(f"its pickle is damaged ({type(error).__name__})") from error
        raise BrokenCheckpointError("its pickle has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in self._steps:
            self._steps[name](argument)
        else:
            raise BrokenCheckpointError(f"its pickle has the instruction {name}, which no checkpoint needs")

    def _nothing(self, argument: Any) -> None:
        """Skip an instruction that changes nothing."""

    def _drop(self) -> None:
        self._stack.pop()

    def _drop_to_mark(self) -> None:
        self._since_mark()

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise BrokenCheckpointError("its pickle takes from an empty stack")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Foreign):
            raise BrokenCheckpointError("its pickle appends to what is no list")

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(_pairs(items))
        elif not isinstance(target, Foreign):
            raise BrokenCheckpointError("its pickle sets items of what is no dictionary")

    def _name(self, module: Any, name: Any) -> None:
        text = f"{module}.{name}".replace("__builtin__.", "builtins.").replace("copy_reg.", "copyreg.")
        if text not in self._makers and not self._known(text) and not self._foreign(text):
            raise RefusedNameError(text)
        self._stack.append(Name(text))

    def _call(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, Name) or not isinstance(arguments, tuple):
            raise BrokenCheckpointError("its pickle calls what is no function")
        maker = self._makers.get(function.text)
        if maker is None:
            raise RefusedNameError(function.text)
        # One list of a million numbers may be the argument of a million calls; a pickle that was saved has
        # each argument once.
        self._work -= sum(len(item) for item in arguments if isinstance(item, list | tuple | dict | str))
        if self._work < 0:
            raise BrokenCheckpointError("its pickle uses the same values again and again")
        self._stack.append(maker(*arguments))

    def _new(self, cls: Any, arguments: Any, named: Any = None) -> None:
        if isinstance(cls, Name) and cls.text not in self._makers and self._foreign(cls.text):
            self._stack.append(Foreign())
        elif named:
            raise BrokenCheckpointError("its pickle calls a function with named arguments")
        else:
            self._call(cls, arguments)

    def _build(self, state: Any) -> None:
        # The state of our own records (numpy's arrays and types) is taken, every other is dropped.
        take = getattr(type(self._stack[-1]), "take_state", None)
        if take is not None:
            take(self._stack[-1], state)


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Return the dictionary of [key, value, key, value]."""
    if len(items) % 2:
        raise BrokenCheckpointError("its pickle has a key without a value")
    for key in items[::2]:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(isinstance(part, str | int | float | bytes | Name | Foreign | None) for part in parts):
            raise BrokenCheckpointError("its pickle has a key that is neither a text nor a number")
    return dict(zip(items[::2], items[1::2], strict=True))
