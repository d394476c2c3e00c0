"""`pylock.toml` (PEP 751) beside the wheels: uv, and pip with --no-deps, install them without our code.

    uv pip install --no-index -r /kaggle/input/datasets/OWNER/hubmap-kit-kidney-wheels/pylock.toml

Hashes are compared, and nothing is fetched. pip 26 looks at what the wheels need all the same, and torch is
not among them; hence --no-deps. An installer resolves nothing: it takes every package whose marker holds, and
of its wheels the best one for the interpreter. What the image keeps (torch, torchvision, numpy) is not in
the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from packaging.markers import Marker
from packaging.pylock import Package, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from kit.local.kaggle_names import without_archive_ending
from kit.manifest import Entry

NAME = "pylock.toml"
_LOCK_VERSION = "1.0"
_HEADER = """\
# Made by `python -m bundle build`. Install with
#     uv pip install --no-index -r pylock.toml
# The paths are those of the dataset as Kaggle mounts it, with its archives unpacked. Where they lie otherwise
# (archives still packed, a folder doubled, "+" gone from a name), `python verify.py --restore DIR` writes all
# files to DIR under these paths, pylock.toml among them.
"""


def document(entries: Iterable[Entry], tags: Sequence[str]) -> str:
    """Return the text of `pylock.toml`; the same wheels give the same text.

    Args:
        entries: of the dataset's manifest; those without a wheel are passed over.
        tags: all Python tags that the bundle serves, e.g. ["cp311", "cp313"].
    """
    wheels: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.file):
        if entry.wheel is not None:
            wheels.setdefault((entry.wheel.name, entry.wheel.version), []).append(entry)
    everywhere = sorted(set(tags), key=_minor)
    lock = Pylock(
        lock_version=Version(_LOCK_VERSION),
        environments=[
            Marker(f'{_python(tag)} and sys_platform == "linux" and platform_machine == "x86_64"')
            for tag in everywhere
        ],
        requires_python=SpecifierSet(f">=3.{_minor(everywhere[0])}") if everywhere else None,
        created_by="hubmap-kit",
        packages=[
            _package(name, version, found, everywhere) for (name, version), found in sorted(wheels.items())
        ],
    )
    return _HEADER + _toml(lock.to_dict())


def _package(name: str, version: str, entries: Sequence[Entry], everywhere: Sequence[str]) -> Package:
    # tomli, needed on Python 3.11 only:           marker python_version == "3.11"
    # scipy, one version with three wheels:        no marker; the installer takes the wheel that fits
    # scipy 1.16 for 3.11 and 1.17 for 3.13:       two packages, each with its marker
    needed = {tag for entry in entries if entry.wheel is not None for tag in entry.wheel.requires}
    pythons = [tag for tag in everywhere if tag in needed]
    marker = None if pythons == list(everywhere) else Marker(" or ".join(map(_python, pythons)))
    return Package(
        name=canonicalize_name(name),
        version=Version(version),
        marker=marker,
        wheels=[
            PackageWheel(path=path_of(entry), size=entry.size, hashes={"sha256": entry.sha256})
            for entry in entries
        ],
    )


def path_of(entry: Entry) -> str:
    """Return where a file lies after Kaggle has unpacked its archive.

    "wheels-cp313.zip/x-1.0-py3-none-any.whl" gives "wheels-cp313/x-1.0-py3-none-any.whl".
    """
    if entry.archive is None:
        return entry.file
    return without_archive_ending(entry.archive) + entry.file.removeprefix(entry.archive)


def _python(tag: str) -> str:
    """Return the marker of a Python tag: "cp313" gives 'python_version == "3.13"'."""
    return f'python_version == "3.{_minor(tag)}"'


def _minor(tag: str) -> int:
    return int(tag.removeprefix("cp3"))


def _toml(value: Mapping[str, Any]) -> str:
    """Write a lock's plain value as TOML: texts and numbers, lists of texts, and the packages.

    Every text in it is ASCII (names, versions, markers, hashes, paths that Kaggle keeps), and such a text is
    written in JSON as in TOML.
    """
    lines = [
        f"{key} = {json.dumps(item, ensure_ascii=True)}" for key, item in value.items() if key != "packages"
    ]
    for package in value["packages"]:
        lines += ["", "[[packages]]"]
        lines += [f"{key} = {json.dumps(item)}" for key, item in package.items() if key != "wheels"]
        for wheel in package["wheels"]:
            lines += ["", "[[packages.wheels]]"]
            lines += [f"{key} = {json.dumps(item)}" for key, item in wheel.items() if key != "hashes"]
            lines.append(f"hashes.sha256 = {json.dumps(wheel['hashes']['sha256'])}")
    return "\n".join(lines) + "\n"
