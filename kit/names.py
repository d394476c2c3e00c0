"""Limits for names in files that the kit reads: none can be a path, an option of a command, or code.

A bundle may come from somebody else, and its names become paths, arguments and lines of predict.py.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from kit.typed_json import Limit

_LONGEST = 200
"""Most bytes of a name: file systems allow 255, and callers add suffixes."""


def _written(pattern: str, words: str) -> Limit:
    known = re.compile(pattern)
    return Limit(lambda text: bool(known.fullmatch(text)) and len(text.encode()) <= _LONGEST, words)


def _is_path(text: str) -> bool:
    """Whether a text is a path below a folder: "a.zip/b.whl", but not "/a", "../a" or "a//b"."""
    parts = text.split("/")
    plain = text.isprintable() and "\\" not in text and PurePosixPath(text).parts == tuple(parts)
    return plain and ".." not in parts and all(0 < len(part.encode()) <= _LONGEST for part in parts)


Name = Annotated[str, _written(r"\w[\w.+-]*", "a name of letters, digits, '_', '.', '-' and '+'")]
"""Of a member, dataset, competition or distribution."""
FilePath = Annotated[str, Limit(_is_path, "the path of a file below the folder, with '/' between names")]
FileName = Annotated[str, Limit(lambda text: _is_path(text) and "/" not in text, "the name of a file")]
Hexadecimal = Annotated[str, _written(r"[0-9a-f]+", "a hash in hexadecimal digits")]
Version = Annotated[str, _written(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*", "a version, such as '1.0.2'")]
Specifier = Annotated[str, _written(r"[A-Za-z0-9 .,<>=!~*+_-]*", "versions, such as '>=1.0,<2'")]
WheelTag = Annotated[str, _written(r"\w+(\.\w+)*(-\w+(\.\w+)*){2}", "a tag, such as 'py3-none-any'")]
PythonTag = Annotated[str, _written(r"cp[0-9]+", "the tag of a Python, such as 'cp313'")]
