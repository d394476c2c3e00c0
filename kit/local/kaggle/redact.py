"""Take secrets out of every text that a person or a log may see."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

HIDDEN = "[hidden]"
_SHORTEST = 6
"""A shorter value is no key of Kaggle's, and hiding "a" would make messages unreadable."""

# "Authorization: Bearer abc", "Basic dXNlcjprZXk="; tokens of Kaggle; "http://user:password@proxy:3128";
# "https://storage/x?X-Goog-Signature=..." and "url: /upload?upload_id=...": signed addresses carry their
# right in the query. "token": "..." in a printed request or answer.
_PATTERNS = (
    (re.compile(r"\b(Bearer|Basic)(\s+)[^\s'\",]+", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    (re.compile(r"KGAT_\w+"), HIDDEN),
    (re.compile(r"(://)[^/\s@'\"]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"\?[\w.~%-]+=[^\s'\"<>)]*"), f"?{HIDDEN}"),
    (
        re.compile(
            r"""(["']?\b(?:token|refresh_?token|access_?token|key|createUrl)["']?\s*[:=]\s*["'])[^"']+"""
        ),
        rf"\1{HIDDEN}",
    ),
)


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text without credentials, tokens and the queries of addresses.

    Args:
        text: anything: a line of the client, an exception's message, a server's reason.
        secrets: values that must not appear in it, whatever stands around them.
    """
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def known_secrets(environment: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the credentials that the client may find on this machine: variables and files."""
    there = os.environ if environment is None else environment
    return frozenset(value for value in _values(there) if len(value) >= _SHORTEST)


def _values(environment: Mapping[str, str]) -> Iterator[str]:
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_TOKEN", "KAGGLE_API_V1_TOKEN"):
        value = environment.get(name, "").strip()
        yield value
        yield _text(Path(value)) if 0 < len(value) < 256 else ""
    home = Path(environment.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - as the client does
    folders = [home / ".kaggle", home / ".config" / "kaggle"]
    if environment.get("XDG_CONFIG_HOME"):
        folders.append(Path(environment["XDG_CONFIG_HOME"], "kaggle"))
    if environment.get("KAGGLE_CONFIG_DIR"):
        folders.append(Path(environment["KAGGLE_CONFIG_DIR"]))
    for folder in folders:
        yield from (_text(folder / name) for name in ("access_token", "access_token.txt"))
        for name in ("kaggle.json", "credentials.json"):
            try:
                value = json.loads(_text(folder / name))
            except ValueError:
                continue
            if isinstance(value, dict):
                keys = ("key", "token", "access_token", "refresh_token")
                yield from (str(value[key]) for key in keys if value.get(key))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    except (OSError, ValueError):
        return ""
