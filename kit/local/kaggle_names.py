"""What Kaggle does to the names and contents of files in a dataset.

Kaggle does not document this; competitors found it out. Some characters vanish from names. Other characters
make the creation of the dataset fail, minutes after it was reported as a success. Archives arrive unpacked.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from kit.errors import KitError

Fate = Literal["kept", "unpacked", "gunzipped", "perhaps unpacked"]
"""What happens to a file's content: `unpacked` becomes a folder, `gunzipped` loses its .gz, and
`perhaps unpacked` was seen as a folder and as a file."""

# "torch-2.13+cu126.whl" arrives as "torch-2.13cu126.whl"; "r&d.bin" makes the whole dataset fail.
_REFUSED = "@&"
_STRIPPED = re.compile(r"[+~=]|[^\x00-\x7f]")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_ZIP_INSIDE = (".pt", ".pth", ".npz")


def mangle(name: str) -> str:
    """Return the name or path under which Kaggle mounts a file: "a+b/c.bin" gives "ab/c.bin".

    Raises:
        KitError: Kaggle refuses the whole dataset because of a character, or would keep none of a name.
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
    """Return what Kaggle does to the content of a file of this name."""
    # The longest endings first: "a.tar.gz" is unpacked, "a.csv.gz" only loses its .gz.
    lower = PurePosixPath(name).name.lower()
    if lower.endswith(_ARCHIVES):
        return "unpacked"
    if lower.endswith(".gz"):
        return "gunzipped"
    if lower.endswith(_ZIP_INSIDE):
        return "perhaps unpacked"
    return "kept"


def without_archive_ending(name: str) -> str:
    """Return the name of the folder into which Kaggle unpacks an archive: "wheels.tar.gz" gives "wheels"."""
    for ending in sorted(_ARCHIVES, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def safe(name: str) -> str:
    """Return a similar file name that Kaggle keeps, and whose content it keeps.

    "unet+tta.zip" gives "unet-tta.zip.bin": odd characters become "-", and ".bin" hides an archive.

    Args:
        name: without folders.
    """
    # Leading dots would hide a file, and leading hyphens look like options.
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "file"
    return kept if fate(kept) == "kept" else f"{kept}.bin"
