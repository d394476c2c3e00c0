"""Read, merge, select and write the pins of `requirements.lock`.

The lock is what pip calls a hash-checked requirements file. It has one pin per line, with a `python_version`
marker only where the Pythons differ:

    numpy==2.4.0 ; python_version < "3.12" --hash=sha256:...
    numpy==2.5.0 ; python_version >= "3.12" --hash=sha256:...
    tqdm==4.70.1 --hash=sha256:...

Nothing in this module needs the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from kit.errors import KitError

PYTHONS = ("3.11", "3.12", "3.13")
"""The Pythons for which one lock holds, oldest first."""

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True, order=True)
class Pin:
    """One exact version of a distribution.

    Attributes:
        name: normalised distribution name.
        version: exact version.
        marker: environment in which the pin holds, "" = everywhere.
        hashes: sha256 of every file of that release, hex, sorted.
        via: names of what needs it, sorted; for readers only.
    """

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()
    via: tuple[str, ...] = ()


def parse(text: str, *, where: str | Path | None = None) -> list[Pin]:
    """Read the pins of a requirements file as pip-compile or `render` writes it.

    Raises:
        KitError: a line is not an exact pin with at least one sha256.
    """
    pins: list[Pin] = []
    lines = iter(text.splitlines())
    for line in lines:
        # A pin takes several lines: "six==1.17.0 \", then "--hash=sha256:..." one or more times, each but the
        # last with a backslash at its end. "# via mmdet" below belongs to the pin above.
        statement = line.strip()
        if not statement or statement.startswith("#"):
            if statement.startswith("# via ") and pins:
                pins[-1] = _with_via(pins[-1], statement.removeprefix("# via "))
            continue
        while statement.endswith("\\"):
            statement = statement[:-1] + next(lines, "").strip()
        pins.append(_pin(statement, where))
    return pins


def _pin(statement: str, where: str | Path | None) -> Pin:
    fix = "run `python -m bundle lock`; the lock is generated, not written by hand"
    try:
        requirement = Requirement(statement.split("--hash", maxsplit=1)[0].strip())
    except InvalidRequirement as error:
        raise KitError(
            f"this line of the lock is not a pin: {statement.split(maxsplit=1)[0]!r}", where=where, fix=fix
        ) from error
    exact = [spec.version for spec in requirement.specifier if spec.operator == "=="]
    hashes = tuple(sorted(_HASH.findall(statement)))
    if len(exact) != 1 or len(requirement.specifier) != 1 or exact[0].endswith(".*"):
        raise KitError(f"{requirement.name} is not pinned to one exact version", where=where, fix=fix)
    if not hashes:
        raise KitError(f"{requirement.name}=={exact[0]} has no sha256", where=where, fix=fix)
    marker = "" if requirement.marker is None else str(requirement.marker)
    return Pin(name=canonicalize_name(requirement.name), version=exact[0], marker=marker, hashes=hashes)


def _with_via(pin: Pin, text: str) -> Pin:
    """Add the names of pip-compile's "# via" line: "-r requirements.in, scipy" gives the file and scipy.

    "-c constraints.txt" is left out: a constraint is no reason why a distribution is there.
    """
    reasons = (reason.strip() for reason in text.split(","))
    via = {reason.removeprefix("-r ") for reason in reasons if reason and not reason.startswith("-c ")}
    return Pin(
        name=pin.name,
        version=pin.version,
        marker=pin.marker,
        hashes=pin.hashes,
        via=tuple(sorted(via.union(pin.via))),
    )


def merge(locks: Mapping[str, Sequence[Pin]]) -> list[Pin]:
    """Merge the pins for several Pythons: equal pins become one, and differing ones get a marker each.

    A pin that holds on all Pythons gets no marker. A marker that a pin already has is kept:
    `(python_version < "3.12") and (sys_platform == "linux")`. Equal pins unite their hashes and their "via".

    Args:
        locks: Python version ("3.11") -> its pins, for each Python for which the result has to hold.

    Returns:
        Pins sorted by name, then version, then marker.
    """
    pythons = sorted(locks, key=_minor)
    #     Python 3.11   numpy==2.4.0                         numpy==2.4.0 ; python_version < "3.12"
    #     Python 3.12   numpy==2.5.0   colorama==0.4.6   ->  numpy==2.5.0 ; python_version >= "3.12"
    #     Python 3.13   numpy==2.5.0                         colorama==0.4.6 ; python_version == "3.12"
    #
    # Group equal pins: (numpy, 2.5.0, "") -> {"3.12": pin, "3.13": pin}. The Pythons in a group give the
    # marker.
    holders: dict[tuple[str, str, str], dict[str, Pin]] = {}
    for python in pythons:
        for pin in locks[python]:
            holders.setdefault((pin.name, pin.version, pin.marker), {})[python] = pin
    merged = []
    for (name, version, own), found in holders.items():
        # The marker of the Pythons, the pin's own one, or both in brackets: "or" binds weaker than "and".
        parts = [part for part in (_marker_of(list(found), pythons), own) if part]
        marker = parts[0] if len(parts) == 1 else " and ".join(f"({part})" for part in parts)
        hashes = {digest for pin in found.values() for digest in pin.hashes}
        via = {reason for pin in found.values() for reason in pin.via}
        merged.append(
            Pin(
                name=name,
                version=version,
                marker=marker,
                hashes=tuple(sorted(hashes)),
                via=tuple(sorted(via)),
            )
        )
    return sorted(merged)


def _marker_of(chosen: Sequence[str], pythons: Sequence[str]) -> str:
    """Return the shortest marker that is true for `chosen` out of `pythons` (both oldest first)."""
    # Of 3.11, 3.12, 3.13 and 3.14:
    #     all of them         no marker
    #     3.12                python_version == "3.12"
    #     3.12, 3.13, 3.14    python_version >= "3.12", because these are the newest ones
    #     3.11, 3.12          python_version < "3.13", because these are the oldest ones
    #     3.11, 3.13          python_version == "3.11" or python_version == "3.13"
    if len(chosen) == len(pythons):
        return ""
    if len(chosen) == 1:
        return f'python_version == "{chosen[0]}"'
    if list(chosen) == list(pythons[-len(chosen) :]):
        return f'python_version >= "{chosen[0]}"'
    if list(chosen) == list(pythons[: len(chosen)]):
        return f'python_version < "{pythons[len(chosen)]}"'
    return " or ".join(f'python_version == "{python}"' for python in chosen)


def select(
    pins: Sequence[Pin], environment: Mapping[str, str], *, where: str | Path | None = None
) -> dict[str, Pin]:
    """Return the pins that hold in one environment, by name.

    Args:
        pins: of a lock.
        environment: marker variables, e.g. `{"python_version": "3.13", ...}`; missing ones are taken from the
            running Python.
        where: the lock's path, for messages.

    Raises:
        KitError: two pins of one name hold, or a marker cannot be read.
    """
    chosen: dict[str, Pin] = {}
    for pin in pins:
        try:
            holds = not pin.marker or Marker(pin.marker).evaluate(dict(environment))
        except InvalidMarker as error:
            raise KitError(
                f"the marker {pin.marker!r} of {pin.name} cannot be read",
                where=where,
                fix="run `python -m bundle lock`; the lock is generated, not written by hand",
            ) from error
        if not holds:
            continue
        if pin.name in chosen:
            versions = f"{chosen[pin.name].version} and {pin.version}"
            python = environment.get("python_version", "this one")
            raise KitError(
                f"{pin.name} is pinned twice for Python {python}: {versions}",
                where=where,
                fix="run `python -m bundle lock`",
            )
        chosen[pin.name] = pin
    return chosen


def render(pins: Sequence[Pin], *, command: str, pythons: Sequence[str] = PYTHONS) -> str:
    """Return the text of a lock: a header, then each pin with its hashes and its "via" line.

    Args:
        pins: sorted as `merge` returns them.
        command: the command that writes the file, for the header.
        pythons: the Pythons for which it holds, for the header.
    """
    lines = [
        f"# Made by: {command}",
        f"# Holds for Python {', '.join(pythons)} on Linux x86_64; install with --require-hashes.",
    ]
    for pin in pins:
        marker = f" ; {pin.marker}" if pin.marker else ""
        hashes = [f"    --hash=sha256:{digest}" for digest in pin.hashes]
        lines.append(" \\\n".join([f"{pin.name}=={pin.version}{marker}", *hashes]))
        if pin.via:
            lines.append(f"    # via {', '.join(pin.via)}")
    return "\n".join(lines) + "\n"


def load(path: Path) -> list[Pin]:
    """Read a lock.

    Raises:
        KitError: the file is missing or no text, or a line is not a pin with a hash.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"the lock cannot be read: {getattr(error, 'strerror', None) or error}",
            where=path,
            fix="run `python -m bundle lock`, or give another file with --lock",
        ) from error
    return parse(text, where=path)


def unmet(requirements_text: str, pins: Sequence[Pin], environment: Mapping[str, str]) -> list[str]:
    """Return the requirements of a `requirements.in` that a lock does not fulfil in one environment.

    This compares names and versions only. pip-compile has checked what the pins need in turn.
    """
    chosen = select(pins, environment)
    missing = []
    for line in requirements_text.splitlines():
        statement = line.split("#")[0].strip()
        if not statement:
            continue
        requirement = Requirement(statement)
        if requirement.marker is not None and not requirement.marker.evaluate(dict(environment)):
            continue
        pin = chosen.get(canonicalize_name(requirement.name))
        if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
            missing.append(statement)
    return missing


def _minor(python: str) -> int:
    return int(python.split(".")[1])


def led_to(names: Iterable[str], pins: Iterable[Pin], *, end: Callable[[str], bool]) -> list[str]:
    """Return what some names lead to by the lock's "via" notes, themselves included, sorted.

    The notes are made for readers: they leave out markers and extras, so this is a guess.

    Args:
        names: where to begin.
        pins: of the lock.
        end: whether a name is in the result, but not what it needs: what torch needs is the image's business.
    """
    # "scipy==1.17.1  # via mmdet" says that mmdet needs scipy. Turn the notes around:
    # {"mmdet": {"scipy", "pycocotools"}}, and follow them from the names.
    needs: dict[str, set[str]] = {}
    for pin in pins:
        for reason in pin.via:
            needs.setdefault(reason, set()).add(pin.name)
    reached: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        if not end(name):
            waiting |= needs.get(name, set()) - reached
    return sorted(reached)
