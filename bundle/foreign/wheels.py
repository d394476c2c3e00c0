"""Foreign sources -> wheels: each content is built once, kept in the cache, and checked against the others.

A wheel of Python files alone serves every target. What is compiled is built once for each Python, with that
Python if this machine has it.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle import wheelinfo
from bundle.foreign import building, lines
from bundle.foreign.fitting import misfit
from bundle.foreign.source import Origin, Source
from bundle.own_wheels import OWN_WHEELS
from bundle.roots import Root
from bundle.shadow import Shadow
from bundle.wheelinfo import WheelInfo
from kit.artefacts import read_json, sha256_file, sha256_json, write_json
from kit.errors import KitError
from kit.local.console import console
from kit.local.interpreters import find_python
from kit.local.lockfile import Pin
from kit.local.locks import only_one
from kit.local.targets import Target

_BUILDER = 2
"""Counted up when the same source would give other bytes: then kept wheels are built again."""
_PATIENCE = 3600.0
"""Seconds to wait for another process that builds into the same cache."""


@dataclass(frozen=True, kw_only=True)
class ForeignWheel:
    """A distribution that was built of a foreign source.

    Attributes:
        name: normalised.
        version: of it.
        origin: where its source is from.
        where: file and line that name the source.
        by_target: name of a target -> its wheel; targets may share one.
    """

    name: str
    version: str
    origin: Origin
    where: str
    by_target: Mapping[str, WheelInfo]

    def root(self) -> Root:
        """Return it as what the bundle ships with all it needs; no other version will do."""
        return Root(self.name, exact=True, why=f"foreign source: {self.origin.text}")

    def needs(self, target: Target) -> list[str]:
        """Return the normalised names of what it needs directly on a target."""
        found = self.by_target[target.name].needs(target.environment())
        return sorted({canonicalize_name(item.name) for item in found})


def foreign_wheels(
    listed: Path | None, images: Sequence[Target], pins: Sequence[Pin], cache: Path
) -> list[ForeignWheel]:
    """Build the wheels of all foreign sources that are not built yet.

    Args:
        listed: the file that names them; None: `foreign.in` in this folder, if it is there.
        images: the targets.
        pins: of the lock; a foreign source may not have the name of one.
        cache: folder of downloads; wheels and logs go to `foreign` in it.

    Raises:
        KitError: a source is missing, cannot be built or does not run on a target, or its name is taken.
    """
    if listed is None:
        listed = Path(lines.NAME)
        if not listed.exists():
            return []
    sources = lines.read(listed)
    if not sources:
        return []
    found = build_sources(sources, images, cache)
    _check_names(found, pins)
    return found


def build_sources(sources: Sequence[Source], images: Sequence[Target], cache: Path) -> list[ForeignWheel]:
    """Build the wheels of some sources that are not built yet.

    Args:
        sources: what to build.
        images: the targets.
        cache: folder of downloads; wheels and logs go to `foreign` in it.

    Raises:
        KitError: a source is missing, cannot be built or does not run on a target, or two have one name.
    """
    folder = cache / "foreign"
    with only_one(
        folder / ".lock",
        doing="builds foreign sources here",
        wait=_PATIENCE,
        told=lambda text: console().print(text, markup=False),
    ):
        found = [_wheel(source, images, folder) for source in sources]
    seen: dict[str, ForeignWheel] = {}
    for item in found:
        if item.name in seen:
            raise KitError(
                f"{item.origin.title} and {seen[item.name].origin.title} are both named {item.name}",
                where=item.where,
                fix=f"remove one of them ({seen[item.name].where})",
            )
        seen[item.name] = item
    return found


def _wheel(source: Source, images: Sequence[Target], folder: Path) -> ForeignWheel:
    content = source.content()
    origin = source.origin(content)
    kept = _Kept(folder / sha256_json([_BUILDER, content, source.subdirectory])[:32])
    by_target = {target.name: _for_target(source, target, kept, origin) for target in images}
    names = {(info.name, info.version) for info in by_target.values()}
    if len(names) > 1:
        told = ", ".join(f"{name} {version}" for name, version in sorted(names))
        raise KitError(
            f"{origin.title} gives different distributions on different Pythons: {told}",
            where=source.where,
            fix="give it one name and one version",
        )
    [(name, version)] = names
    return ForeignWheel(name=name, version=version, origin=origin, where=source.where, by_target=by_target)


def _for_target(source: Source, target: Target, kept: _Kept, origin: Origin) -> WheelInfo:
    """Return the wheel of a source for a target: one that is kept and fits, else a new one."""
    for info in kept.wheels():
        if misfit(info, target) is None:
            return info
    python, version = _python(target)
    made = kept.made_with(version) or kept.add(source, python, version, origin)
    if made.name == "unknown":
        raise KitError(
            f"{origin.title} does not say its name",
            where=source.where,
            fix="write it into its pyproject.toml",
        )
    if (reason := misfit(made, target)) is None:
        return made
    fix = f"leave out this target, or build on a system with glibc {target.glibc} or older"
    if version != target.minor:
        fix = f"install Python {target.minor} (`uv python install {target.minor}`), or leave out this target"
    raise KitError(
        f"{made.name} {made.version}, built here with Python {version}, does not run on {target.name} "
        f"(Python {target.minor}): {reason}",
        where=source.where,
        fix=fix,
    )


def _python(target: Target) -> tuple[str, str]:
    """Return the interpreter to build with and its minor version: the target's if it is here, else ours."""
    own = ".".join(map(str, sys.version_info[:2]))
    if target.minor != own:
        try:
            version, python = find_python([target.minor])
        except KitError:
            return sys.executable, own
        return python, version
    return sys.executable, own


@dataclass(frozen=True)
class _Kept:
    """The folder of the wheels of one content.

    `built.json` says which wheel each Python made: {"3.11 x86_64 glibc2.36": ["x-1.0-...whl", "<sha256>"]}.
    The log of each build lies beside it.
    """

    folder: Path

    @property
    def _told(self) -> Path:
        return self.folder / "built.json"

    def wheels(self) -> list[WheelInfo]:
        """Return what was built before and is undamaged."""
        return [info for key in self._listed() if (info := self._read(key)) is not None]

    def made_with(self, version: str) -> WheelInfo | None:
        """Return what a Python of this machine made before; None if it has to be built."""
        return self._read(_builder(version))

    def add(self, source: Source, python: str, version: str, origin: Origin) -> WheelInfo:
        """Build the source with an interpreter, and keep the wheel."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"build-{version}-{platform.machine()}.log"
        told = f"building {origin.title} with Python {version} (its log: {log})"
        console().print(told, markup=False, soft_wrap=True)
        with tempfile.TemporaryDirectory(dir=self.folder.resolve(), prefix=".build-") as scratch:
            tree, out = Path(scratch) / "source", Path(scratch) / "wheel"
            project = source.unpack(tree)
            made = building.build(project, python, out, log=log, title=origin.title)
            wheelinfo.read(made)  # what no installer could read is not kept
            place = made.replace(self.folder / made.name)
        write_json(self._told, self._listed() | {_builder(version): (place.name, sha256_file(place))})
        return wheelinfo.read(place)

    def _listed(self) -> dict[str, tuple[str, str]]:
        """Return what `built.json` says; a damaged one says nothing, and the wheels are built again."""
        try:
            return {
                str(key): (str(name), str(sha256)) for key, (name, sha256) in read_json(self._told).items()
            }
        except (KitError, AttributeError, TypeError, ValueError):
            return {}

    def _read(self, key: str) -> WheelInfo | None:
        name, sha256 = self._listed().get(key, ("", ""))
        path = self.folder / name
        return wheelinfo.read(path) if path.is_file() and sha256_file(path) == sha256 else None


def _builder(version: str) -> str:
    """Return what a compiled wheel depends on beside its source."""
    return f"{version} {platform.machine()} {''.join(platform.libc_ver())}"


def _check_names(found: Sequence[ForeignWheel], pins: Sequence[Pin]) -> None:
    """Refuse the name of a wheel that the kit builds, or of a pin."""
    pinned = {pin.name for pin in pins}
    for item in found:
        if item.name in OWN_WHEELS:
            raise KitError(
                f"{item.origin.title} is named {item.name}, as a wheel that the kit builds itself",
                where=item.where,
                fix="give it another name in its pyproject.toml",
            )
        if item.name in pinned:
            raise KitError(
                f"{item.origin.title} is named {item.name}, which the lock pins as well",
                where=item.where,
                fix=f"take {item.name} out of requirements.in and run `python -m bundle lock`, or give the "
                "source another name in its pyproject.toml",
            )


def require_imported(
    found: Sequence[ForeignWheel], tables: Sequence[tuple[Target, Sequence[Shadow]]]
) -> None:
    """Refuse a foreign source in whose place an image would surely import its own copy.

    Args:
        found: the wheels.
        tables: each target with its shadow table.

    Raises:
        KitError: an image has the same name in the same version, or the name is never shipped.
    """
    for item in found:
        for target, rows in tables:
            row = next((row for row in rows if row.name == item.name), None)
            if row is not None and row.action == "image keeps its own":
                raise KitError(
                    f"{item.origin.title} is named {item.name} {item.version}, and the image {target.name} "
                    f"keeps its own {item.name} ({row.why}): the source would not be imported",
                    where=item.where,
                    fix="give the source another version, or another name, in its pyproject.toml",
                )
