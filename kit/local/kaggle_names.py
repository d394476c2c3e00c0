"""What Kaggle does to the names of files in a dataset.

Learned by competitors, not documented by Kaggle: characters vanish from names, some names make the creation
of the dataset fail minutes after it was reported as a success, and archives arrive unpacked.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from kit.errors import KitError

Fate = Literal["kept", "unpacked", "gunzipped", "perhaps unpacked"]
"""What happens to a file's content: `unpacked` becomes a folder, `gunzipped` loses its .gz, and
`perhaps unpacked` was seen both ways."""

_REFUSED = "@&"
_STRIPPED = re.compile(r"[+~=]|[^\x00-\x7f]")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_ZIP_INSIDE = (".pt", ".pth", ".npz")


def mangle(name: str) -> str:
    """The name or path (parts joined by "/") under which Kaggle mounts a file whose content it keeps.

    Raises:
        KitError: a character for which Kaggle fails the whole dataset, or nothing left of a part.
    """
    if found := sorted(set(name) & set(_REFUSED)):
        raise KitError(
            f"Kaggle refuses datasets with {' or '.join(found)} in a file name: {name}",
            fix="rename the file",
        )
    parts = [_STRIPPED.sub("", part) for part in name.split("/")]
    if not all(parts):
        raise KitError(f"nothing is left of the name {name!r} on Kaggle", fix="use ASCII letters and digits")
    return "/".join(parts)


def fate(name: str) -> Fate:
    """What Kaggle does to the content of a file of this name."""
    lower = PurePosixPath(name).name.lower()
    if lower.endswith(_ARCHIVES):
        return "unpacked"
    if lower.endswith(".gz"):
        return "gunzipped"
    if lower.endswith(_ZIP_INSIDE):
        return "perhaps unpacked"
    return "kept"


def survives(name: str) -> bool:
    """Whether a file arrives under its own name and whole."""
    try:
        return mangle(name) == name and fate(name) == "kept"
    except KitError:
        return False


def safe(name: str) -> str:
    """A file name near `name` that survives: odd characters become "-", a name that is unpacked gets ".bin".

    Args:
        name: without folders.
    """
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "file"
    return kept if fate(kept) == "kept" else f"{kept}.bin"
