"""Which versions of a distribution have a wheel for a target: for the message that a pinned one has none.

pip answers, so the answer comes from the same index, proxy and folders as the wheels themselves.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from kit.local.targets import Target
from kit.local.tool_environment import tool_environment

_PATIENCE = 60.0
"""Seconds to wait for the index; the message that asks is only the poorer without an answer."""
_LISTED = 5


def with_wheel(name: str, target: Target) -> list[str]:
    """Return the released versions that have a wheel for a target, newest first; [] if nobody can say.

    Args:
        name: of the distribution.
        target: whose Python and platforms count.
    """
    command = [
        *(sys.executable, "-m", "pip", "index", "versions", name, "--json", "--no-input"),
        *("--only-binary", ":all:", *tags_of(target)),
    ]
    try:
        done = subprocess.run(
            command, env=tool_environment(), capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
        versions = [str(version) for version in json.loads(done.stdout)["versions"]]
        return sorted(versions, key=Version, reverse=True)
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError, InvalidVersion):
        return []  # no index in reach, or no release at all; pip's words say no more than that


def tags_of(target: Target) -> list[str]:
    """Return the options that make pip choose wheels for a target and not for its own Python."""
    # With --platform pip accepts exactly the tags that it is given, so all older ones have to be listed too.
    platforms = [argument for tag in target.platforms() for argument in ("--platform", tag)]
    return ["--implementation", "cp", "--python-version", target.minor, "--abi", target.tag, *platforms]


def told(name: str, versions: Sequence[str]) -> str:
    """Say in a part of a sentence which versions have a wheel, "" if that is not known.

    Args:
        name: of the distribution.
        versions: newest first.
    """
    if not versions:
        return ""
    listed = ", ".join(versions[:_LISTED])
    more = len(versions) - _LISTED
    older = f" and {more} older" if more > 0 else ""
    return f"; {listed}{older} of {name} have one" if len(versions) > 1 else f"; {name} {listed} has one"
