"""What `requested.json` of a bundle says: who asks for what, and what to import to see that it works."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundle.closure import Closure
from bundle.gate_program import loose, outermost
from bundle.requirements.reading import Line
from kit.requested import Asked, OfImage, Requested

_NOT_FOR_USERS = frozenset({"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks"})
"""Packages that some wheels install by mistake; nobody imports them."""


def modules_of(wheel: Path, name: str) -> list[str]:
    """Return the modules to import to see that a wheel works.

    Args:
        wheel: the file.
        name: normalised, of its distribution.

    Returns:
        The module that has the distribution's name; else all that are for users: ["cv2"],
        ["google.protobuf"]; [] for a wheel without modules.
    """
    # A wheel of several modules has often one that needs more than the distribution asks for. Whoever asks
    # for `foo` imports foo; only where there is none of this name are all tried.
    with zipfile.ZipFile(wheel) as archive:
        files = [PurePosixPath(item).parts for item in archive.namelist() if not item.endswith("/")]
    files = [_in_place(parts) for parts in files if not parts[0].endswith(".dist-info")]
    found = [".".join(parts) for parts in outermost(files)] or [".".join(parts) for parts in loose(files)]
    named = [module for module in found if _plain(module) == _plain(name)]
    users = [
        module
        for module in found
        if not module.rpartition(".")[2].startswith("_") and module not in _NOT_FOR_USERS
    ]
    return named or users or found


def _in_place(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return where an installer puts a file: "tool-1.0.data/purelib/tool.py" goes to "tool.py"."""
    if parts[0].endswith(".data") and len(parts) > 2 and parts[1] in {"purelib", "platlib"}:
        return parts[2:]
    return parts


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(".", "")


def request(closures: Sequence[Closure], asked: Mapping[str, Sequence[tuple[str, Requirement]]]) -> Requested:
    """Return what the bundle was made for.

    Args:
        closures: of all targets.
        asked: name of a target -> what is asked for there, with who asks.
    """
    where: dict[str, dict[str, None]] = {}
    wanted: dict[str, SpecifierSet] = {}
    tags: dict[str, set[str]] = {}
    modules: dict[str, list[str]] = {}
    of_image: dict[tuple[str, str, str], set[str]] = {}
    for closure in closures:
        target = closure.target
        for asker, item in asked[target.name]:
            name = str(canonicalize_name(item.name))
            if target.leaves_to_image(name):
                of_image.setdefault((name, asker, str(item.specifier)), set()).add(target.tag)
                continue
            where.setdefault(name, {})[asker] = None
            wanted[name] = wanted.get(name, SpecifierSet()) & item.specifier
            tags.setdefault(name, set()).add(target.tag)
            modules[name] = modules_of(closure.wheels[name].path, name)
        for distribution, info in closure.wheels.items():
            for item in info.needs(target.environment()):
                left = canonicalize_name(item.name)
                if target.leaves_to_image(left):
                    of_image.setdefault((left, distribution, str(item.specifier)), set()).add(target.tag)
    return Requested(
        asked=[
            Asked(
                name=name,
                wanted=str(wanted[name]),
                where=", ".join(where[name]),
                modules=modules[name],
                tags=sorted(tags[name]),
            )
            for name in sorted(where)
        ],
        of_image=[
            OfImage(name=name, accepts=accepts, asker=asker, tags=sorted(found))
            for (name, asker, accepts), found in sorted(of_image.items())
        ],
    )


def asked_on(
    lines: Sequence[Line], packages: Sequence[tuple[str, str, str]], environment: Mapping[str, str]
) -> list[tuple[str, Requirement]]:
    """Return what is asked for in an environment, with who asks, without markers.

    Args:
        lines: of the requirements file.
        packages: name, version and origin of the user's own sources.
        environment: marker variables of a target.
    """
    found: list[tuple[str, Requirement]] = []
    for line in lines:
        if line.holds(environment):
            plain = Requirement(str(line.requirement))
            plain.marker = None
            found.append((line.where, plain))
    return [*found, *((origin, Requirement(f"{name}=={version}")) for name, version, origin in packages)]
