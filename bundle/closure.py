"""Everything a set of distributions needs on another Python, found by walking the wheels' own metadata.

Markers are evaluated for the target. `pip download` does not do that: it asks the Python that runs it, and so
ships the wrong set as soon as the two differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundle.wheelinfo import WheelInfo
from kit.errors import KitError
from kit.local.targets import Target

Fetch = Callable[[Sequence[str]], dict[str, WheelInfo]]
"""Wheels for the target by normalised name; asked once for each name."""


@dataclass(kw_only=True)
class Closure:
    """What must be there on one target.

    Attributes:
        target: where.
        wheels: name -> wheel to ship.
        requires: name -> names it needs there, sorted; those left to the image included.
        accepted: name -> what all that ask for it agree on.
        left: names left to the image, with what our wheels ask of them.
    """

    target: Target
    wheels: dict[str, WheelInfo] = field(default_factory=dict)
    requires: dict[str, list[str]] = field(default_factory=dict)
    accepted: dict[str, SpecifierSet] = field(default_factory=dict)
    left: dict[str, SpecifierSet] = field(default_factory=dict)


def walk(roots: Sequence[str], target: Target, fetch: Fetch) -> Closure:
    """The closure of some distributions on a target, one `fetch` for each level of depth.

    Args:
        roots: normalised names to start from.
        target: whose markers count, and who says what is never shipped.
        fetch: see `Fetch`.

    Raises:
        KitError: two wheels disagree with the pinned version of a third, or the image's torch or numpy is
            known not to meet what a wheel asks of it; whatever `fetch` raises.
    """
    closure = Closure(target=target)
    environment = target.environment()
    extras: dict[str, set[str]] = {}
    level = [("requirements", Requirement(name)) for name in roots]
    while level:
        grown = {name for name in (_note(asker, item, closure, extras) for asker, item in level) if name}
        closure.wheels |= fetch(sorted(grown - closure.wheels.keys()))
        for asker, item in level:
            _agree(asker, item, closure)
        level = []
        for name in sorted(grown):
            needs = closure.wheels[name].needs(environment, sorted(extras[name]))
            closure.requires[name] = sorted({canonicalize_name(item.name) for item in needs})
            level += [(name, item) for item in needs]
    return closure


def _note(asker: str, item: Requirement, closure: Closure, extras: dict[str, set[str]]) -> str | None:
    """Record who asks for what; the name if its own needs are not known yet, or grow by an extra."""
    name = canonicalize_name(item.name)
    kept = closure.left if closure.target.leaves_to_image(name) else closure.accepted
    kept[name] = kept.get(name, SpecifierSet()) & item.specifier
    if kept is closure.left:
        _check_image(asker, item, closure.target)
        return None
    known = extras.setdefault(name, set())
    news = item.extras - known
    known |= item.extras
    return name if news or name not in closure.wheels else None


def _agree(asker: str, item: Requirement, closure: Closure) -> None:
    """Refuse a pin that does not meet what somebody asks of it."""
    wheel = closure.wheels.get(canonicalize_name(item.name))
    if wheel is not None and not item.specifier.contains(wheel.version, prereleases=True):
        raise KitError(
            f"{asker} needs {item.name}{item.specifier}, but the lock has {wheel.version}",
            fix=f"write {item.name}{item.specifier} into requirements.in and run `python -m bundle lock`",
        )


def _check_image(asker: str, item: Requirement, target: Target) -> None:
    """Refuse a wheel that asks more of torch, torchvision or numpy than the image is known to have."""
    version = target.packages().get(canonicalize_name(item.name))
    if version is not None and not item.specifier.contains(version, prereleases=True):
        raise KitError(
            f"{asker} needs {item.name}{item.specifier}; {target.name} has {version} and keeps it",
            fix=f"pin an older {asker} in requirements.in and lock again, or leave out that target",
        )
