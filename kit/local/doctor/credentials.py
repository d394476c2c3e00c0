"""Where Kaggle's credentials are, and who can read them. A value is never printed, nor its length."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from kit.local.doctor.finding import Finding

_VARIABLES = ("KAGGLE_API_TOKEN", "KAGGLE_KEY")
_FILES = ("access_token", "access_token.txt", "kaggle.json", "credentials.json")
_PAGE = "https://www.kaggle.com/settings"
_ABOUT = "Kaggle's credentials"


def look(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Return where credentials are; Kaggle itself is not asked.

    Args:
        environment: variables; those of this process when None.
    """
    there = os.environ if environment is None else environment
    found = [*_in_variables(there), *_in_files(there)]
    if found:
        return found
    return [
        Finding(
            about=_ABOUT,
            level="note",
            told="there are none; only `upload`, `submit`, `submissions` and `probe` need them",
            fix=f"make a token on {_PAGE}, write it to ~/.kaggle/access_token and run chmod 600 on it",
        )
    ]


def _in_variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    for name in _VARIABLES:
        if environment.get(name):
            lonely = name == "KAGGLE_KEY" and not environment.get("KAGGLE_USERNAME")
            fix = "set KAGGLE_USERNAME, too, or use a token in KAGGLE_API_TOKEN" if lonely else ""
            told = f"in the variable {name}" + (", without KAGGLE_USERNAME" if lonely else "")
            yield Finding(about=_ABOUT, level="note" if lonely else "ok", told=told, fix=fix)


def _in_files(environment: Mapping[str, str]) -> Iterator[Finding]:
    home = Path(environment.get("HOME") or Path.home())
    folders = [home / ".kaggle", home / ".config" / "kaggle"]
    if config := environment.get("XDG_CONFIG_HOME"):
        folders.append(Path(config) / "kaggle")
    if own := environment.get("KAGGLE_CONFIG_DIR"):
        folders.append(Path(own))
    for path in dict.fromkeys(folder / name for folder in folders for name in _FILES):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        facts = {"file": str(path), "mode": f"{mode:03o}"}
        told = f"in {path}, mode {mode:03o}"
        if not os.access(path, os.R_OK):
            yield Finding(
                about=_ABOUT,
                level="note",
                told=f"{told}: you cannot read it",
                fix=f"chmod 600 {path}",
                facts=facts,
            )
        elif mode & 0o077:
            told += ": other users of this machine can read it"
            yield Finding(about=_ABOUT, level="note", told=told, fix=f"chmod 600 {path}", facts=facts)
        else:
            yield Finding(about=_ABOUT, level="ok", told=told, facts=facts)
