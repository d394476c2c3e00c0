"""The environment in which pip and uv run: the user says where packages come from, and the lock says which.

A user's PIP_CONSTRAINT, PIP_REQUIRE_HASHES, UV_EXCLUDE_NEWER or a `constraint` in pip.conf would change what
is installed, or end a hash-checked build. Indexes, proxies and certificates stay: behind a company's mirror
nothing else works, and the lock's hashes hold for every index.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

# Where pip looks for its files: as long as these stay, it finds the same ones.
_DECIDE_FILES = ("HOME", "PIP_CONFIG_FILE", "XDG_CONFIG_DIRS", "XDG_CONFIG_HOME")
_FOR_TOOLS = ("PIP_", "UV_", "PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX")
_OF_PIP = frozenset(
    {
        *("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX", "TRUSTED_HOST", "CERT", "CLIENT_CERT"),
        *("PROXY", "TIMEOUT", "DEFAULT_TIMEOUT", "RETRIES", "CACHE_DIR", "KEYRING_PROVIDER"),
    }
)
_FOLDERS = frozenset(
    f"{tool}_{name}"
    for tool in ("PIP", "UV")
    for name in ("INDEX_URL", "DEFAULT_INDEX", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS")
)
"""Variables whose values, divided by blanks or commas, may be folders."""
_OF_UV = frozenset(
    {
        *("INDEX_URL", "DEFAULT_INDEX", "INDEX", "EXTRA_INDEX_URL", "FIND_LINKS", "OFFLINE", "CACHE_DIR"),
        *("NATIVE_TLS", "SYSTEM_CERTS", "INSECURE_HOST", "HTTP_TIMEOUT", "KEYRING_PROVIDER", "NO_PROGRESS"),
        *("PYTHON_INSTALL_DIR", "PYTHON_INSTALL_MIRROR", "PYTHON_DOWNLOADS"),
    }
)


def tool_environment() -> dict[str, str]:
    """Return this process's environment for pip and uv, without what changes their choices.

    What pip's own files say of places is in it as variables; the files themselves are switched off. Folders
    that are relative to the working directory are whole paths in it: the tools run in folders of their own.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOR_TOOLS)}
    deciding = tuple((name, os.environ[name]) for name in _DECIDE_FILES if name in os.environ)
    places = _pip_files(deciding) | {
        name: value
        for name, value in os.environ.items()
        if name.removeprefix("PIP_") in _OF_PIP or name.removeprefix("UV_") in _OF_UV
    }
    places = {name: _anywhere(value) if name in _FOLDERS else value for name, value in places.items()}
    if "PIP_INDEX_URL" in places and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & places.keys():
        places["UV_DEFAULT_INDEX"] = places["PIP_INDEX_URL"]
    return {
        **kept,
        **places,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONNOUSERSITE": "1",
    }


def _anywhere(value: str) -> str:
    """Return places with the folders of this machine as whole paths: "wheels" -> "/here/wheels"."""

    def whole(found: re.Match[str]) -> str:
        path = Path(found[0]).expanduser()
        return str(path.absolute()) if "://" not in found[0] and path.exists() else found[0]

    return re.sub(r"[^\s,]+", whole, value)


@cache
def _pip_files(deciding: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return what pip's files say of places, as variables; pip takes half a second, so it is asked once.

    "global.index-url='https://...'" gives PIP_INDEX_URL.

    Args:
        deciding: the variables that decide where the files are, with their values.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOR_TOOLS)}
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={**kept, **dict(deciding)},
        capture_output=True,
        text=True,
        check=False,
    )
    sections: dict[str, dict[str, str]] = {"global": {}, "download": {}}
    for line in asked.stdout.splitlines():
        # Lines of the environment begin with ":env:.". A value is written as Python writes a text.
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        name = option.upper().replace("-", "_")
        if section in sections and name in _OF_PIP:
            sections[section][f"PIP_{name}"] = str(ast.literal_eval(value))
    return sections["global"] | sections["download"]
