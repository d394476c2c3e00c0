"""Choose versions for one image with uv: wheels only, and nothing that would displace the image's torch or numpy.

uv resolves for any Python and platform, whichever one runs it; pip evaluates markers for its own Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle.pip_download import OFFLINE
from bundle.requirements import stand_ins
from bundle.requirements.reading import Line, Wanted
from bundle.wheelinfo import WheelInfo
from kit.artefacts import write_text
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
_FILE, _LOCK = "requirements.txt", "locked.txt"
_NO_WHEEL = re.compile(
    r"(?:Because |because |and |only )*(?P<name>[A-Za-z0-9][\w.-]*?)(?:[<>=!~]=?\S+)? has no (?:usable )?wheels"
)
"""In uv's words: "Because tool==1.0 has no wheels with a matching Python ABI tag"."""
_NOT_FOUND = re.compile(r"(?:Because |because )(?P<name>[A-Za-z0-9][\w.-]*) was not found in the")
_DEPENDS = re.compile(
    r"(?P<asker>[A-Za-z0-9][\w.-]*(?:[<>=!~]=?[^\s,]+(?:,[<>=!~]=?[^\s,]+)*)?) depends? on (?P<wanted>[a-z0-9-]+"
    r"[<>=!~][^\s]*)"
)
_REQUIRE = re.compile(r"you require (?P<wanted>[a-z0-9-]+[<>=!~][^\s]*)")


@dataclass(frozen=True)
class Problem:
    """The versions that must be chosen for one image; equal problems have equal answers.

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

    def lines(self) -> list[Line]:
        """Return the requirements that hold on the image; those that only the image can meet are left out."""
        unknown, environment = set(stand_ins.left_out(self.target)), self.target.environment()
        return [
            line
            for line in self.wanted.requirements
            if line.name not in unknown
            and (line.requirement.marker is None or line.requirement.marker.evaluate(environment))
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
        text: as uv wrote it; preferences for the next image.
    """

    pins: list[Pin]
    text: str

    @property
    def versions(self) -> dict[str, str]:
        """Name -> version."""
        return {pin.name: pin.version for pin in self.pins}


def check_lines(problem: Problem) -> None:
    """Refuse lines of the file that want another torch or numpy than the image has.

    Raises:
        KitError: names the line.
    """
    has = problem.target.packages()
    for line in problem.lines():
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


def resolve(
    problem: Problem, folder: Path, *, preferred: str = "", wheels_only: bool = True
) -> Answer | NoWheel:
    """Choose versions.

    Args:
        problem: what for.
        folder: for uv's input and output; it is made.
        preferred: text of an answer for another image; its versions are taken where they fit.
        wheels_only: False takes source distributions, too; uv builds some to see what they need.

    Raises:
        KitError: no set of versions fits, the image has another torch or numpy than somebody needs, or the
            index cannot be reached.
    """
    done = _run(problem, folder, preferred, wheels_only=wheels_only)
    if done.returncode == 0:
        pins = lockfile.parse((folder / _LOCK).read_text(encoding="utf-8"))
        kept = [pin for pin in pins if not problem.target.leaves_to_image(pin.name)]
        return Answer(_checked(kept, problem), (folder / _LOCK).read_text(encoding="utf-8"))
    output = done.stderr
    if OFFLINE.search(output) or "error sending request" in output or "dns error" in output:
        raise KitError(
            f"the package index cannot be reached to resolve for {problem.target.name}",
            fix="check the network, the proxy (HTTPS_PROXY) and the index (PIP_INDEX_URL, pip.conf)",
        )
    words = _words(output)
    if found := _NO_WHEEL.search(words):
        return NoWheel(canonicalize_name(found["name"]), words)
    raise _complaint(problem, words)


def _run(
    problem: Problem, folder: Path, preferred: str, *, wheels_only: bool
) -> subprocess.CompletedProcess[str]:
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
        _FILE: [str(line.requirement) for line in problem.lines()] + list(problem.roots),
        "constraints.txt": [
            *(str(line.requirement) for line in problem.wanted.constraints if line.name not in keep),
            *(f"{name}=={version}" for name, version in (keep | built).items()),
        ],
        "excluded.txt": stand_ins.left_out(target),
    }
    for name, lines in files.items():
        write_text(folder / name, "".join(f"{line}\n" for line in lines))
    write_text(folder / _LOCK, preferred)
    return subprocess.run(
        [
            *(find_uv(), "pip", "compile", *_OPTIONS, *_places(), "--find-links", str(links)),
            *(["--only-binary", ":all:"] if wheels_only else []),
            *("--python", sys.executable, "--python-version", target.python),
            *("--python-platform", f"{target.machine}-manylinux_{target.glibc.replace('.', '_')}"),
            *("--constraints", "constraints.txt", "--excludes", "excluded.txt"),
            *("--output-file", _LOCK, _FILE),
        ],
        cwd=folder,
        env={**tool_environment(), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
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
    if "PIP_CERT" in pip and "SSL_CERT_FILE" not in os.environ:
        options.append("--system-certs")
    return options


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


def _words(output: str) -> str:
    """Return uv's explanation in one line, without its marks and frames."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", output).replace(f"+{stand_ins.LOCAL}", "")
    text = re.sub(r"^\s*(error|cause|hint|×|╰─▶|├─▶|│)\s*:?", "", text, flags=re.MULTILINE)
    return " ".join(text.split())


def _complaint(problem: Problem, words: str) -> KitError:
    """Say who needs another version than the image has, or which requirements exclude each other."""
    target = problem.target
    if found := _NOT_FOUND.search(words):
        name = canonicalize_name(found["name"])
        line = next((line for line in problem.wanted.requirements if line.name == name), None)
        return KitError(
            f"no index has a distribution named {found['name']}",
            where=line.where if line is not None else None,
            fix="correct its name; a source of your own goes to `--package`",
        )
    has = {name: version.partition("+")[0] for name, version in stand_ins.pinned(target).items()}
    askers: dict[str, list[str]] = {}
    for found in _DEPENDS.finditer(words):
        name = re.split(r"[<>=!~]", found["wanted"])[0]
        wanted = found["wanted"].rstrip(",.")
        if name in has and wanted != f"{name}=={has[name]}":
            askers.setdefault(name, []).append(f"{found['asker']} needs {wanted}")
    if askers:
        told = "; ".join(", ".join(dict.fromkeys(items)) for items in askers.values())
        kept = ", ".join(f"{name} {has[name]}" for name in askers)
        return KitError(
            f"{told}; the image {target.name} has {kept} and keeps it",
            fix="ask for another release of it, or leave out this image: --target with the names of the others",
        )
    return KitError(
        f"no set of versions fits the image {target.name} (Python {target.python}): {words}",
        fix="loosen the requirement named above, or leave out this image: --target with the names of the others",
    )
