"""Where uv is: it makes environments and installs packages for the local commands."""

from __future__ import annotations

import shutil

from kit.errors import KitError


def find_uv() -> str:
    """Return the path of the uv binary: the installed package's, else the one on PATH.

    Raises:
        KitError: there is none.
    """
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise KitError("uv is not installed", fix="run `python -m pip install uv`")
    return found
