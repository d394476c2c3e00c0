"""Choose the wheels of the bundle from roots, lock and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundle import wheelinfo
from bundle.closure import Closure, walk
from bundle.pip_download import WheelCache
from bundle.roots import Root
from bundle.wheelinfo import WheelInfo
from kit.errors import KitError
from kit.local.lockfile import Pin, led_to, select
from kit.local.targets import Target
from kit.manifest import Wheel


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """One wheel of the bundle: its file, and its description in the manifest."""

    path: Path
    wheel: Wheel


def closure_for(
    roots: Sequence[str],
    pins: Sequence[Pin],
    target: Target,
    cache: WheelCache,
    own: Mapping[str, Path],
    *,
    asked: Sequence[tuple[str, Requirement]] = (),
) -> Closure:
    """Download everything that some distributions need on one target.

    Args:
        roots: normalised names.
        pins: of the lock; the only source of versions and hashes.
        target: the image.
        cache: of downloads.
        own: name -> wheel that we built; it needs no pin.
        asked: further requirements, as `walk` takes them.

    Raises:
        KitError: a name is not in the lock, or what `WheelCache.fetch` and `walk` raise.
    """
    chosen = select(pins, target.environment())
    # One call of pip for all wheels that the lock's notes lead to, instead of one for each level of the walk.
    # The notes may name too much. So a wheel that does not exist is an error only when the walk asks for it.
    with suppress(KitError):
        begin = {*roots, *(canonicalize_name(item.name) for _, item in asked)}
        likely = led_to(begin, chosen.values(), end=target.leaves_to_image)
        ours = [
            name for name in likely if name in chosen and name not in own and not target.leaves_to_image(name)
        ]
        cache.fetch([chosen[name] for name in ours], target)

    def fetch(names: Sequence[str]) -> dict[str, WheelInfo]:
        unknown = [name for name in names if name not in chosen and name not in own]
        if unknown:
            raise KitError(
                f"the lock has no pin for Python {target.minor} of {', '.join(unknown)}",
                fix="add it to requirements.in and run `python -m bundle lock`",
            )
        paths = cache.fetch([chosen[name] for name in names if name not in own], target)
        paths |= {name: own[name] for name in names if name in own}
        return {name: _info(path) for name, path in paths.items()}

    return walk(roots, target, fetch, asked=asked)


def _info(path: Path) -> WheelInfo:
    """Read a wheel once for all images that share it, as long as its file stays the same."""
    try:
        state = path.stat()
    except OSError:
        return wheelinfo.read(path)  # says what is wrong
    return _info_of(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4096)
def _info_of(path: Path, *_state: int) -> WheelInfo:
    return wheelinfo.read(path)


def combine(closures: Sequence[Closure], roots: Sequence[Root]) -> list[Shipped]:
    """Return one list of the wheels for all targets. A wheel for several targets is in it once.

    A root that must be exact accepts only its own version. Any other distribution accepts the versions that
    all wheels that need it accept, on all targets.
    """
    exact = {root.name for root in roots if root.exact}
    wheels: dict[str, WheelInfo] = {}
    requires: dict[str, dict[str, list[str]]] = {}
    accepted: dict[str, SpecifierSet] = {}
    for closure in closures:
        for name, info in closure.wheels.items():
            # Wheels are told apart by file: cp311, cp312 and cp313 have a scipy each, but share one timm.
            # What is accepted belongs to the distribution, so all its wheels get the same: ">=1.2" of one
            # target and "<2" of another give ">=1.2,<2".
            wheels[info.path.name] = info
            # Two images may have one tag (torch 2.10 and 2.11 on Python 3.12) and different patch levels, so
            # that a marker holds on one of them only. What either needs is needed.
            needs = requires.setdefault(info.path.name, {})
            needs[closure.target.tag] = sorted({*needs.get(closure.target.tag, ()), *closure.requires[name]})
            accepted[name] = accepted.get(name, SpecifierSet()) & closure.accepted[name]
    return [
        Shipped(
            path=info.path,
            wheel=Wheel(
                name=info.name,
                version=info.version,
                tags=info.tag_names(),
                licence=info.licence,
                accepts=f"=={info.version}" if info.name in exact else str(accepted[info.name]),
                requires=requires[file],
            ),
        )
        for file, info in sorted(wheels.items())
    ]
