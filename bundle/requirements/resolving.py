"""Choose versions for one image with uv: wheels only, and nothing in front of the image's torch or numpy.

uv resolves for any Python and platform, whichever one runs it; pip evaluates markers for its own Python.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from bundle.foreign.fitting import fits
from bundle.pip_download import OFFLINE
from bundle.requirements import stand_ins, uv_words
from bundle.requirements.reading import Line, Wanted
from bundle.wheel_versions import with_wheel
from bundle.wheelinfo import WheelInfo
from kit.artefacts import sha256_json, write_text
from kit.errors import KitError
from kit.local import lockfile
from kit.local.lockfile import Pin
from kit.local.targets import Target
from kit.local.tool_environment import tool_environment
from kit.local.uv import find_uv

_OPTIONS = (
    *("--quiet", "--no-config", "--no-header", "--generate-hashes", "--annotation-style=line"),
    *("--no-emit-index-url", "--no-emit-find-links"),
)
_WHEELS_ONLY = ("--only-binary", ":all:")
_FILE, _LOCK, _PYLOCK = "requirements.txt", "locked.txt", "pylock.toml"
_PATIENCE = 900.0
"""Seconds for a resolution that may build sources to see what they need."""


@dataclass(frozen=True)
class Problem:
    """The versions that must be chosen for one image.

    Attributes:
        target: the image.
        wanted: the requirements file.
        built: normalised name -> wheel of ours for this image, whose version is the only one.
        roots: those of `built` that are shipped whether or not the file asks for them.
    """

    target: Target
    wanted: Wanted
    built: Mapping[str, WheelInfo]
    roots: Sequence[str] = ()

    def key(self) -> str:
        """Return what decides the answer beside the requirements file."""
        target = self.target
        facts = [target.python, target.machine, target.glibc, stand_ins.pinned(target)]
        built = {name: info.path.name for name, info in self.built.items()}
        return sha256_json([*facts, stand_ins.left_out(target), built])

    def lines(self) -> list[Line]:
        """Return the requirements that hold on the image; those that only the image can meet are left out."""
        unknown, environment = set(stand_ins.left_out(self.target)), self.target.environment()
        return [
            line for line in self.wanted.requirements if line.name not in unknown and line.holds(environment)
        ]


@dataclass(frozen=True)
class NoWheel:
    """A distribution that has no wheel for an image: its normalised name, and uv's words."""

    name: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What uv chose for an image.

    Attributes:
        pins: of what is shipped, with the hashes of all files.
    """

    pins: list[Pin]

    @property
    def versions(self) -> dict[str, str]:
        """Name -> version."""
        return {pin.name: pin.version for pin in self.pins}

    @property
    def preferences(self) -> str:
        """Lines that let uv take the same versions for another image, where they fit."""
        # Without hashes: uv would keep those of a folder's wheel for this Python and look for no others.
        return "".join(f"{pin.name}=={pin.version}\n" for pin in self.pins)


def check_lines(problem: Problem) -> None:
    """Refuse lines of the file, also constraints, that want another torch or numpy than the image has.

    Raises:
        KitError: names the line.
    """
    has = problem.target.packages()
    environment = problem.target.environment()
    bounds = [line for line in problem.wanted.constraints if line.holds(environment)]
    for line in [*problem.lines(), *bounds]:
        version = has.get(line.name)
        if not problem.target.leaves_to_image(line.name) or version is None:
            continue
        if not line.requirement.specifier.contains(version, prereleases=True):
            raise KitError(
                f"{line.requirement.name}{line.requirement.specifier} is asked for; the image "
                f"{problem.target.name} has {line.name} {version} and keeps it",
                where=line.where,
                fix=f"allow {version}, or leave out this image: --target with the names of the others",
            )


def resolve(problem: Problem, folder: Path, *, preferred: str = "") -> Answer | NoWheel:
    """Choose versions, of distributions with wheels alone.

    Args:
        problem: what for.
        folder: for uv's input and output; it is made.
        preferred: an answer's preferences; if all of these versions fit, they are the answer, else those that
            do are likely to be in it.

    Raises:
        KitError: no set of versions fits, the image has another torch or numpy than somebody needs, or the
            index cannot be reached or answers too slowly.
    """
    try:
        # Pins first: of releases with many wheels uv 0.13 takes another version than the preferred one,
        # though that one fits. So two images got each other's versions, and never the same.
        done = _run(problem, folder, _LOCK, "", _WHEELS_ONLY, pins=preferred)
        if preferred and done.returncode:
            done = _run(problem, folder, _LOCK, preferred, _WHEELS_ONLY)
    except subprocess.TimeoutExpired as error:
        raise KitError(
            f"uv found no versions for {problem.target.name} in {_PATIENCE:.0f} s",
            fix="check the network and the index; pin more versions in the file, so that fewer are tried",
        ) from error
    if done.returncode == 0:
        pins = lockfile.parse((folder / _LOCK).read_text(encoding="utf-8"))
        kept = [pin for pin in pins if not problem.target.leaves_to_image(pin.name)]
        return Answer(_checked(kept, problem))
    output = done.stderr
    if OFFLINE.search(output) or "error sending request" in output or "dns error" in output:
        raise KitError(
            f"the package index cannot be reached to resolve for {problem.target.name}",
            fix="check the network, the proxy (HTTPS_PROXY) and the index (PIP_INDEX_URL, pip.conf)",
        )
    words = uv_words.plain(output)
    if (name := uv_words.without_wheel(words)) is not None:
        return NoWheel(name, words)
    lines = [line for line in problem.wanted.constraints if line.holds(problem.target.environment())]
    where: dict[str, str] = {}
    for line in [*problem.lines(), *lines]:
        where[line.name] = ", ".join(filter(None, [where.get(line.name), line.where]))
    target = problem.target
    raise uv_words.complaint(words, target, where, released=lambda name: with_wheel(name, target))


@dataclass(frozen=True)
class WithSources:
    """What uv chooses where sources are as good as wheels.

    Attributes:
        versions: name -> version.
        lacking: name -> release that has sources and no wheel for the image, with the sources' hash.
    """

    versions: dict[str, str]
    lacking: dict[str, Pin]


def with_sources(problem: Problem, folder: Path) -> WithSources:
    """Choose versions, of distributions with sources alone, too.

    With wheels alone, uv silently goes back to a release of years ago that did not need them yet. uv builds
    some sources to see what they need; where that fails, nothing is returned.
    """
    try:
        done = _run(problem, folder, _PYLOCK, "", ["--format", "pylock.toml"])
        found = tomllib.loads((folder / _PYLOCK).read_text(encoding="utf-8")) if not done.returncode else {}
    except (subprocess.TimeoutExpired, OSError, ValueError):
        return WithSources({}, {})
    versions = {}
    pins: dict[str, Pin] = {}
    for package in found.get("packages", ()):
        name = canonicalize_name(package["name"])
        versions[str(name)] = str(package.get("version", ""))
        wheels = [_file_of(wheel) for wheel in package.get("wheels", ())]
        left = problem.target.leaves_to_image(name) or name in problem.built
        if not left and "sdist" in package and not any(fits(wheel, problem.target) for wheel in wheels):
            hashes = (package["sdist"]["hashes"]["sha256"],)
            pins[name] = Pin(name=name, version=package["version"], hashes=hashes)
    return WithSources(versions, pins)


def _file_of(wheel: Mapping[str, Any]) -> str:
    """Return the name of a wheel's file in a pylock.toml."""
    place = str(wheel.get("name") or wheel.get("url") or wheel.get("path") or "")
    return unquote(place.rpartition("/")[2])


def _run(
    problem: Problem, folder: Path, out: str, begin: str, options: Sequence[str], *, pins: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run uv with some pins; it writes the file `out`, which begins with its preferences."""
    links = folder / "wheels"
    links.mkdir(parents=True, exist_ok=True)
    for old in links.iterdir():
        old.unlink()
    stand_ins.write(problem.target, links)
    for info in problem.built.values():
        (links / info.path.name).symlink_to(info.path.resolve())
    target = problem.target
    keep = stand_ins.pinned(target)
    built = {name: info.version for name, info in problem.built.items()}
    files = {
        _FILE: [*(str(line.requirement) for line in problem.lines()), *problem.roots],
        "constraints.txt": [
            *(str(line.requirement) for line in problem.wanted.constraints if line.name not in keep),
            *(f"{name}=={version}" for name, version in (keep | built).items()),
            *pins.splitlines(),
        ],
        "excluded.txt": stand_ins.left_out(target),
    }
    for name, lines in files.items():
        write_text(folder / name, "".join(f"{line}\n" for line in lines))
    (folder / out).unlink(missing_ok=True)
    if begin:
        write_text(folder / out, begin)
    return subprocess.run(
        [
            *(find_uv(), "pip", "compile", *_OPTIONS, *_places(), "--find-links", "wheels", *options),
            *("--python", sys.executable, "--python-version", target.python),
            *("--python-platform", f"{target.machine}-manylinux_{target.glibc.replace('.', '_')}"),
            *("--constraints", "constraints.txt", "--excludes", "excluded.txt"),
            *("--output-file", out, _FILE),
        ],
        cwd=folder,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )


def _places() -> list[str]:
    """Return uv's options for the places in which pip looks for packages; uv reads no pip.conf."""
    pip = tool_environment()
    options = []
    for link in pip.get("PIP_FIND_LINKS", "").split():
        options += ["--find-links", link]
    extra = pip.get("PIP_EXTRA_INDEX_URL", "").split()
    for index in extra:
        options += ["--extra-index-url", index]
    if extra:  # pip takes the best release of all indexes, and pip will download
        options += ["--index-strategy", "unsafe-best-match"]
    if pip.get("PIP_NO_INDEX", "").lower() in {"1", "true", "yes", "on"}:
        options.append("--no-index")
    return options


def _environment() -> dict[str, str]:
    """Return uv's environment: pip's, with the certificates that pip trusts."""
    pip = tool_environment()
    certificates = {"SSL_CERT_FILE": pip["PIP_CERT"]} if pip.get("PIP_CERT") else {}
    return {**certificates, **pip, "NO_COLOR": "1"}


def _checked(pins: Sequence[Pin], problem: Problem) -> list[Pin]:
    """Return the pins; of a line with hashes, only its hashes count."""
    allowed: dict[str, set[str]] = {}
    where: dict[str, str] = {}
    for line in problem.lines():
        if line.hashes:
            allowed.setdefault(line.name, set()).update(line.hashes)
            where[line.name] = line.where
    checked = []
    for pin in pins:
        if pin.name not in allowed or pin.name in problem.built:
            checked.append(pin)
            continue
        hashes = tuple(sorted(allowed[pin.name] & set(pin.hashes)))
        if not hashes:
            raise KitError(
                f"no file of {pin.name} {pin.version} on the index has one of the hashes that are written",
                where=where[pin.name],
                fix="correct the version or the hashes; `pip hash FILE` prints that of a file",
            )
        checked.append(replace(pin, hashes=hashes))
    return checked
