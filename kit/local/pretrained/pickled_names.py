"""What the names in a checkpoint's pickle stand for: each becomes a plain value or a record of ours.

No name is imported. torch's own reader has a list of names that it calls, among them `torch.Tensor`, `set`
and `torch._tensor._rebuild_from_type_v2`. With numpy's `ndarray` on that list, a buffer of the file can
become Python objects at addresses that the file chooses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kit.local.pretrained.pickle_machine import Foreign, Maker, Name
from kit.local.pretrained.stored import DTYPES, BrokenCheckpointError, RefusedNameError, Storage, StoredTensor

_TORCH_DTYPES = {
    f"torch.{name}": getattr(torch, name)
    for name in (
        "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool",
        "float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64",
    )
}  # fmt: skip
_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"})
"""Codes of numpy's types that a stored array may have; the last digit is the number of bytes."""
_MOST_NUMBERS = 1 << 48
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ROOTS = ("omegaconf.", "mmengine.", "pytorch_lightning.", "lightning.", "lightning_fabric.", "numpy.dtypes.")
"""Libraries whose instances training scripts store beside the weights."""
_BARE = frozenset(
    {
        *_TORCH_DTYPES,
        *(f"torch.{device}{name}" for device in ("", "cuda.") for name in DTYPES),
        "torch.storage.UntypedStorage",
        "torch.storage.TypedStorage",
        "torch.strided",
        "typing.Any",
        *(f"builtins.{name}" for name in ("dict", "list", "tuple", "int", "float", "str", "bool", "object")),
        "numpy.ndarray",
        *(f"{module}._reconstruct" for module in _NUMPY),
    }
)
"""Names that stand for themselves, as a type or as an argument of another name."""


def known(name: str) -> bool:
    """Return whether a name that makes nothing may occur in a checkpoint."""
    return name in _BARE


def foreign(name: str) -> bool:
    """Return whether a name is a class of a library whose instances lie in checkpoints beside the weights."""
    # "omegaconf.dictconfig.DictConfig" is a class, "omegaconf.OmegaConf.load" a function.
    return name.startswith(_ROOTS) and re.fullmatch(r"(?:[a-z_0-9]+\.)+_?[A-Z]\w*", name) is not None


class NumpyType:
    """The type of a numpy array or number in a checkpoint.

    Args:
        code: letter and bytes, "f4".
    """

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or re.fullmatch(r"[?biufcSUM]\d*", code) is None:
            raise RefusedNameError("numpy objects")
        self.code = code if code in _NUMBERS else None
        self._little = True

    def take_state(self, state: Any) -> None:
        """Take the byte order out of numpy's state (3, "<", None, None, None, -1, -1, 0)."""
        self._little = isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", "|", "=")

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Return numpy's own type; None if it is not one of plain little-endian numbers."""
        return np.dtype(f"<{self.code}") if self.code is not None and self._little else None


class NumpyArray:
    """A numpy array in a checkpoint."""

    def __init__(self, *_: Any) -> None:
        self.tensor: StoredTensor | None = None

    def take_state(self, state: Any) -> None:
        """Take numpy's state: version, shape, type, whether columns come first, and the bytes."""
        _, shape, kind, columns, data = state
        dtype = kind.dtype if isinstance(kind, NumpyType) else None
        if dtype is None or not isinstance(data, bytes | str):
            return  # an array of objects or of texts holds no weights
        raw = data.encode("latin-1") if isinstance(data, str) else data
        sizes = _sizes(shape)
        if math.prod(sizes) * dtype.itemsize != len(raw):
            raise BrokenCheckpointError("a numpy array has another number of bytes than its shape")
        array = np.array(np.frombuffer(raw, dtype)) if raw else np.empty(0, dtype)
        tensor = torch.from_numpy(np.array(array.reshape(sizes, order="F" if columns else "C"), order="C"))
        self.tensor = StoredTensor(sizes, tensor.dtype, lambda: tensor, id(self))


def _sizes(value: Any) -> tuple[int, ...]:
    whole = isinstance(value, list | tuple) and all(type(size) is int and size >= 0 for size in value)
    # torch multiplies the sizes other than 0 for its strides: (0, 2**40, 2**40) has no numbers and overflows.
    if not whole or math.prod(max(size, 1) for size in value) > _MOST_NUMBERS:
        raise BrokenCheckpointError("a tensor has a shape that cannot be")
    return tuple(value)


def _foreign(*_: Any) -> Foreign:
    return Foreign()


def _dictionary(items: Any = (), *_: Any) -> dict[Any, Any]:
    """Return OrderedDict([("a", 1)]), Counter({"a": 1}) or defaultdict(int) as a plain dictionary."""
    if isinstance(items, dict):
        return dict(items)
    if not isinstance(items, list | tuple):
        return {}
    pairs = [tuple(item) for item in items if isinstance(item, list | tuple)]
    return {key: value for key, value in (pair for pair in pairs if len(pair) == 2) if isinstance(key, str)}


def _bytes(text: Any, encoding: Any = "latin1", *_: Any) -> bytes:
    """Return the bytes that protocol 2 stores as a text: _codecs.encode("...", "latin1")."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise BrokenCheckpointError("its pickle encodes a text in another way than for bytes")
    return text.encode("latin-1")


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise BrokenCheckpointError("a tensor has no storage")
    return storage.view(offset, _sizes(size), _sizes(stride))


def _rebuild_with_type(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, kind: Any, *_: Any
) -> StoredTensor:
    dtype = _TORCH_DTYPES.get(kind.text) if isinstance(kind, Name) else None
    if not isinstance(storage, Storage) or storage.dtype != torch.uint8 or dtype is None:
        raise BrokenCheckpointError("a tensor has no storage or a type that is not known")
    return storage.view(offset, _sizes(size), _sizes(stride), dtype)


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _typed(function: Any, _type: Any, arguments: Any, *_: Any) -> Any:
    """Return the plain tensor of a subclass: (function that makes it, the subclass, its arguments, state)."""
    made = MAKERS.get(function.text) if isinstance(function, Name) and isinstance(arguments, tuple) else None
    if made not in (_rebuild, _rebuild_with_type, _parameter):
        raise BrokenCheckpointError("a tensor is made by something that makes no tensors")
    return made(*arguments)


def _reconstruct(cls: Any, *_: Any) -> NumpyArray | Foreign:
    return NumpyArray() if isinstance(cls, Name) and cls.text == "numpy.ndarray" else Foreign()


def _named(module: str, names: Sequence[str], maker: Maker) -> dict[str, Maker]:
    return {f"{module}.{name}": maker for name in names}


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")

MAKERS: dict[str, Maker] = {
    **_named("collections", ("OrderedDict", "Counter"), _dictionary),
    "collections.defaultdict": lambda *_: {},
    "collections.deque": lambda *_: [],
    **_named("builtins", ("set", "frozenset", "list"), lambda *_: []),
    **_named("builtins", ("bytearray", "complex", "slice", "range"), _foreign),
    "builtins.bytes": lambda *data: Foreign() if data else b"",  # protocol 2 has no other empty bytes
    "_codecs.encode": _bytes,
    **_named("torch._utils", ("_rebuild_tensor", "_rebuild_tensor_v2"), _rebuild),
    "torch._utils._rebuild_tensor_v3": _rebuild_with_type,
    **_named("torch._utils", ("_rebuild_parameter", "_rebuild_parameter_with_state"), _parameter),
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.parameter.Buffer": _parameter,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.Size": lambda sizes=(), *_: _sizes(sizes),
    **_named("torch", ("device", "Generator"), _foreign),
    "torch.serialization._get_layout": _foreign,
    "argparse.Namespace": _foreign,
    "types.SimpleNamespace": _foreign,
    "copyreg._reconstructor": _foreign,
    **_named("datetime", ("datetime", "date", "time", "timedelta", "timezone"), _foreign),
    **{f"{module}.{name}": _foreign for module in ("pathlib", "pathlib._local") for name in _PATHS},
    "numpy.dtype": NumpyType,
    **{f"{module}.scalar": _foreign for module in _NUMPY},
    **{f"{module}._reconstruct": _reconstruct for module in _NUMPY},
    **{f"{module}._frombuffer": _foreign for module in ("numpy.core.numeric", "numpy._core.numeric")},
}
"""What each name makes when the pickle calls it. No value of the file reaches a library's own constructor."""
