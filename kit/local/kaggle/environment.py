"""The variables of the child process that runs the official client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import kit
from kit.errors import KitError

_REMOVED = frozenset({"VERBOSE", "VERBOSE_OUTPUT", "KAGGLE_TOKEN", "TMPDIR", "TMP", "TEMP"})
"""VERBOSE is a general name, and the client prints the Authorization header for it. KAGGLE_TOKEN is none of
the documented variables; the client takes it all the same, in front of the user's name and key."""

_SERVERS = ("", "PROD", "LOCALHOST", "TEST")
"""Values of KAGGLE_API_ENVIRONMENT; Kaggle's own people have more."""


def child_environment(parent: Mapping[str, str], *, scratch: Path) -> dict[str, str]:
    """Return the variables of the child: the user's credentials, proxies and CA files stay.

    Args:
        parent: variables of this process.
        scratch: folder for the client's temporary files; the record of what is sent lies elsewhere, see
            `Wire.upload`.

    Raises:
        KitError: KAGGLE_API_ENVIRONMENT names no server. The client would take the real Kaggle.
    """
    if (server := parent.get("KAGGLE_API_ENVIRONMENT", "")) not in _SERVERS:
        raise KitError(
            f"KAGGLE_API_ENVIRONMENT names no server of the client: {server!r}",
            where="KAGGLE_API_ENVIRONMENT",
            fix=f"write {', '.join(_SERVERS[1:-1])} or {_SERVERS[-1]}, or unset it for the real Kaggle",
        )
    kept = {
        name: value
        for name, value in parent.items()
        if name not in _REMOVED and not name.startswith("PYTHON")
    }
    source = str(next(iter(kit.__path__)))
    return {**kept, "TMPDIR": str(scratch), "PYTHONPATH": str(Path(source).parent), "PYTHONUNBUFFERED": "1"}
