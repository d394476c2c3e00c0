"""Find everything that some distributions need on another Python, from the wheels' own metadata.

Markers are evaluated for the target. `pip download` evaluates them for the Python that runs it, and so it
downloads the wrong set as soon as the two Pythons differ.
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
"""Takes normalised names, returns their wheels for the target. It is called once for each name."""


@dataclass(kw_only=True)
class Closure:
    """Everything that one target needs.

    Attributes:
        target: the image.
        wheels: name -> wheel to ship.
        requires: name -> sorted names that it needs on the target, with those that the image brings.
        accepted: name -> versions that all wheels that need it accept.
        left: name of what the image brings -> versions that our wheels accept.
    """

    target: Target
    wheels: dict[str, WheelInfo] = field(default_factory=dict)
    requires: dict[str, list[str]] = field(default_factory=dict)
    accepted: dict[str, SpecifierSet] = field(default_factory=dict)
    left: dict[str, SpecifierSet] = field(default_factory=dict)


def walk(
    roots: Sequence[str], target: Target, fetch: Fetch, *, asked: Sequence[tuple[str, Requirement]] = ()
) -> Closure:
    """Return the closure of some distributions on a target, with one `fetch` for each level of depth.

    Args:
        roots: normalised names to start from.
        target: whose markers count; it also says what is never shipped.
        fetch: see `Fetch`.
        asked: further requirements to start from, with who asks: ("requirements.txt:3", timm>=1).

    Raises:
        KitError: a wheel does not accept the pinned version of another one, or the image's version of torch
            or numpy; or what `fetch` raises.
    """
    # An example, for a target with Python 3.13 that brings its own numpy:
    #     level 1   mmdet         fetch mmdet; it needs scipy, numpy and, if Python < 3.11, tomli
    #     level 2   scipy, numpy  fetch scipy; numpy is left to the image; tomli is not needed on 3.13
    #     level 3   numpy         asked for by scipy: left to the image; nothing to fetch, so the walk ends
    closure = Closure(target=target)
    environment = target.environment()
    extras: dict[str, set[str]] = {}
    level = [*(("requirements", Requirement(name)) for name in roots), *asked]
    while level:
        # 1. Who is asked for on this level? A name is in `grown` if it is new, or asked for with a new extra.
        grown = {name for name in (_note(asker, item, closure, extras) for asker, item in level) if name}
        # 2. Fetch all new wheels of the level with one call of pip, and check that the pins fit the requests.
        closure.wheels |= fetch(sorted(grown - closure.wheels.keys()))
        for asker, item in level:
            _agree(asker, item, closure)
        # 3. The next level is what these wheels need on the target. It is sorted, so that the same lock
        # always gives the same calls and messages. The loop ends even if two wheels need each other: the
        # second time neither of them is new.
        level = []
        for name in sorted(grown):
            needs = closure.wheels[name].needs(environment, sorted(extras[name]))
            closure.requires[name] = sorted({canonicalize_name(item.name) for item in needs})
            level += [(name, item) for item in needs]
    return closure


def _note(asker: str, item: Requirement, closure: Closure, extras: dict[str, set[str]]) -> str | None:
    """Record that `asker` needs an item. Return its name if its own needs have to be looked at (again)."""
    name = canonicalize_name(item.name)
    # Versions are narrowed by every request: ">=1.2" and later "<2" give ">=1.2,<2".
    kept = closure.left if closure.target.leaves_to_image(name) else closure.accepted
    kept[name] = kept.get(name, SpecifierSet()) & item.specifier
    if kept is closure.left:
        _check_image(asker, item, closure.target)
        return None
    # "client" and later "client[fast]": the second request adds the requirements of the extra, so the wheel's
    # metadata has to be read again, now with {"fast"}.
    known = extras.setdefault(name, set())
    news = item.extras - known
    known |= item.extras
    return name if news or name not in closure.wheels else None


def _agree(asker: str, item: Requirement, closure: Closure) -> None:
    """Refuse a pinned version that a wheel does not accept."""
    wheel = closure.wheels.get(canonicalize_name(item.name))
    if wheel is not None and not item.specifier.contains(wheel.version, prereleases=True):
        raise KitError(
            f"{asker} needs {item.name}{item.specifier}, but the lock pins {wheel.version}",
            fix=f"write {item.name}{item.specifier} into requirements.in and run `python -m bundle lock`",
        )


def _check_image(asker: str, item: Requirement, target: Target) -> None:
    """Refuse a wheel that does not accept the image's version of torch, torchvision or numpy."""
    version = target.packages().get(canonicalize_name(item.name))
    if version is not None and not item.specifier.contains(version, prereleases=True):
        raise KitError(
            f"{asker} needs {item.name}{item.specifier}; the image {target.name} has {version} and keeps it",
            fix=f"pin an older {asker} in requirements.in and lock again, or leave out this target",
        )
