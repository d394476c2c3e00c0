"""The shadow table: which distributions of an image the bundle would put its own copies in front of.

predict.py installs into a folder of its own that stands first on the path of its processes, so a wheel of
ours hides ("shadows") the image's copy there and nowhere else. The table needs the lock and a target's
description only; nothing is downloaded for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundle.roots import Root
from bundle.wheelinfo import holds
from kit.local.lockfile import Pin, led_to, select
from kit.local.targets import Target

OWN = "our own"
"""In place of the version of a wheel of our own: it has no pin."""
Action = Literal["image keeps its own", "ours in front", "image has none", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """What happens with one distribution on one image.

    Attributes:
        name: normalised.
        image: the image's version; None if it has none or the version is unknown.
        ours: the version in the lock.
        action: whose copy is imported; "unknown" where only the image itself can tell.
        why: one sentence.
        conflicts: distributions of the image that do not accept our version, and what they ask for.
    """

    name: str
    image: str | None
    ours: str
    action: Action
    why: str
    conflicts: tuple[str, ...] = ()


def shadow_table(
    pins: Sequence[Pin],
    roots: Sequence[Root],
    target: Target,
    *,
    more: Sequence[str] = (),
    accepted: Mapping[str, SpecifierSet] | None = None,
    built: Mapping[str, str] | None = None,
) -> list[Shadow]:
    """Return one row for each distribution that the roots lead to on a target, sorted by name.

    Args:
        pins: of the lock; its notes ("via mmdet") say what leads to what.
        roots: what code on Kaggle imports.
        target: the image.
        more: further normalised names to ship, those that members require.
        accepted: versions that our wheels accept of each other, once the wheels have been read; without them
            it stays open whether an image's other version is good enough.
        built: name -> version of wheels that were built of foreign sources; they have no pin.

    Raises:
        KitError: the lock pins a distribution twice for the target.
    """
    chosen = select(pins, target.environment())
    exact = {root.name for root in roots if root.exact}
    rows = []
    for name in led_to([*(root.name for root in roots), *more], chosen.values(), end=target.leaves_to_image):
        pin = chosen.get(name)
        ours = pin.version if pin is not None else (built or {}).get(name, OWN)
        action, why = _decide(name, ours, target, exact=name in exact, accepted=(accepted or {}).get(name))
        kept = action in {"image keeps its own", "image has none"}
        conflicts = () if kept or ours == OWN else _refused_by(name, ours, target)
        rows.append(
            Shadow(
                name=name,
                image=_version(name, target),
                ours=ours,
                action=action,
                why=why,
                conflicts=conflicts,
            )
        )
    return rows


def _version(name: str, target: Target) -> str | None:
    """Return the image's version of a distribution; None if it has none or nobody knows."""
    freeze: dict[str, str] = {canonicalize_name(key): value for key, value in (target.freeze or {}).items()}
    return target.packages().get(name) or freeze.get(name)


def _decide(
    name: str, ours: str, target: Target, *, exact: bool, accepted: SpecifierSet | None
) -> tuple[Action, str]:
    """Return whose copy is imported, and why."""
    if target.leaves_to_image(name):
        return "image keeps its own", "never shipped"
    version = _version(name, target)
    if version is None:
        return _decide_unseen(name, ours, target, exact=exact)
    # "2.11.0+cu128" is 2.11.0 to whoever asks for a version.
    public = version.partition("+")[0]
    action: Action = "ours in front"
    why = "weights and configs are of our version"
    if public == ours:
        action, why = "image keeps its own", "the same version"
    elif not exact and accepted is None:
        action, why = "unknown", f"{version} stays if our other wheels accept it"
    elif not exact and accepted is not None:
        why = f"our wheels ask for {accepted}"
        if accepted.contains(public, prereleases=True):
            action, why = "image keeps its own", f"our wheels accept {accepted or 'every version'}"
    return action, why


def _decide_unseen(name: str, ours: str, target: Target, *, exact: bool) -> tuple[Action, str]:
    if name not in target.image_has and target.freeze is not None:
        return "image has none", "it is not in the image's freeze"
    have = "the image's version is not known"
    if name not in target.image_has:
        have = "nobody saw whether it is there"
    if not exact:
        return "unknown", f"{have}; a copy stays if our other wheels accept it"
    return "unknown", f"{have}; ours in front" + ("" if ours == OWN else f" unless it is {ours}")


def _refused_by(name: str, ours: str, target: Target) -> tuple[str, ...]:
    """Return the image's distributions that do not accept our version of one."""
    found = []
    environment = target.environment()
    freeze = target.freeze or {}
    for other, lines in sorted((target.requires or {}).items()):
        for line in lines:
            try:
                item = Requirement(line)
            except InvalidRequirement:
                continue  # pip let the image keep it, so its own fault is none of ours
            if canonicalize_name(item.name) != name or not holds(item, environment):
                continue
            if not item.specifier.contains(ours, prereleases=True):
                found.append(
                    f"{other} {freeze.get(other, '')} needs {name}{item.specifier}".replace("  ", " ")
                )
    return tuple(dict.fromkeys(found))
