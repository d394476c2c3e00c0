"""Make a file name of an id, whatever the id holds.

Ids come from tables that the competition's host wrote. One that holds "../" would leave the folder, one with
a NUL or half a surrogate pair can't be a path, and "A7" and "a7" are one file on some disks.
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 120
"""Most bytes of a name: file systems allow 255, and callers add a suffix."""
_MARK = "~"
"""Stands before the hash; a plain name has none."""
_HASH_DIGITS = 32
_PLAIN = re.compile(r"[a-z0-9_-]([a-z0-9_.-]*[a-z0-9_-])?", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.ASCII)
"""Names that Windows keeps for devices, whatever their suffix."""
_OTHERS = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)


def file_name(text: str) -> str:
    """Return one plain file name for an id; two ids never get the same, even where case makes no difference.

    >>> file_name("aa05346ff")
    'aa05346ff'
    >>> file_name("../../HPA 7")
    'HPA-7~61b54a1354d9d7aef777e4ee5e15737c'

    Args:
        text: any text. Lower-case letters, digits and "_-." stay as they are. Everything else gets a hash of
            the whole text, behind what is readable of it.
    """
    if len(text) <= LONGEST and _PLAIN.fullmatch(text) and not _DEVICE.fullmatch(text):
        return text
    readable = _OTHERS.sub("-", text).strip("-")[: LONGEST - len(_MARK) - _HASH_DIGITS]
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{readable}{_MARK}{digest[:_HASH_DIGITS]}"
