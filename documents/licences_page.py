"""docs/licences.md: the licence of everything that ships, wheels of the bundle and what is vendored."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from bundle import closure, licences, wheelinfo
from bundle.own_wheels import OWN_WHEELS
from bundle.roots import ROOTS
from bundle.wheelinfo import WheelInfo
from documents.markdown import GENERATED, cell, code, introduction, table
from kit.errors import KitError
from kit.local import targets
from kit.manifest import Wheel


def page(root: Path) -> str:
    """Return the text of docs/licences.md, from the metadata of the packages that are installed here.

    Args:
        root: the repository.

    Raises:
        KitError: a package of the bundle is not installed, or its licence forbids to pass on copies.
    """
    found, askers = shipped()
    licences.require([_as_wheel(item) for item in found])
    rows = []
    for item in found:
        told = cell(licence_in_words(item.licence))
        whose = "built here" if item.name in OWN_WHEELS else ""
        rows.append((code(item.name), item.version, told, ", ".join(askers[item.name]), whose))
    return "".join(
        (
            introduction(root, "licences"),
            "\n",
            table(("wheel", "version", "licence", "needed by", ""), rows),
            "\n## What comes from others in this repository\n\n",
            _vendored(root),
            f"\n{GENERATED}\n",
        )
    )


def licence_in_words(told: str) -> str:
    """Return a licence as SPDX where its name is a known one; "BSD License" names one of two texts."""
    return (licences.spdx(told) or told).replace(f"{licences.OWN_PREFIX}BSD", "BSD (2 or 3 clauses)")


def shipped() -> tuple[list[WheelInfo], dict[str, list[str]]]:
    """Return the distributions of the default bundle, sorted by name, and name -> who asks for it.

    The versions are those of the lock, because the lock is what is installed.

    Raises:
        KitError: one is not installed.
    """
    wheels: dict[str, WheelInfo] = {}
    askers: dict[str, set[str]] = {root.name: {"predict.py"} for root in ROOTS}

    def installed(names: Sequence[str]) -> dict[str, WheelInfo]:
        return {name: _installed(name) for name in names}

    for target in targets.known():
        found = closure.walk([root.name for root in ROOTS], target, installed)
        wheels |= found.wheels
        for name, needs in found.requires.items():
            for need in needs:
                askers.setdefault(need, set()).add(name)
    told = {
        name: [*sorted(askers[name] & {"predict.py"}), *sorted(askers[name] - {"predict.py"})]
        for name in wheels
    }
    return [wheels[name] for name in sorted(wheels)], told


def _installed(name: str) -> WheelInfo:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise KitError(
            f"{name} is part of the bundle and not installed here",
            fix="run it with nox's Python: nox -s docs -- --write",
        ) from error
    headers: Any = distribution.metadata
    return WheelInfo(
        path=Path(),
        name=name,
        version=distribution.version,
        tags=frozenset(),
        licence=wheelinfo.licence(headers),
        requires=tuple(Requirement(line) for line in distribution.requires or ()),
        requires_python="",
    )


def _as_wheel(item: WheelInfo) -> Wheel:
    return Wheel(name=item.name, version=item.version, tags=[], accepts="", requires={}, licence=item.licence)


def _vendored(root: Path) -> str:
    """The list in NOTICE."""
    text = (root / "NOTICE").read_text(encoding="utf-8")
    return text[text.index("- ") :].strip() + "\n"
