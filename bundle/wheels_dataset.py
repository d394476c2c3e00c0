"""The dataset of wheels: what is shipped for each Python, from the lock to the files in their archives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from bundle import dataset_metadata, wheelinfo
from bundle.archives import place_wheel
from bundle.closure import Closure
from bundle.dataset import Content, entry_of
from bundle.foreign.wheels import ForeignWheel
from bundle.own_wheels import own_wheels
from bundle.pip_download import WheelCache
from bundle.roots import Root
from bundle.wheels import Shipped, closure_for, combine
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.local.console import progress
from kit.local.lockfile import Pin
from kit.local.targets import Target

NATIVE = "mmcv-full"
"""The distribution that has wheels with compiled operators beside its portable one."""


def describe(
    images: Sequence[Target], competitions: Sequence[str], *, prefix: str, owner: str
) -> tuple[str, dict[str, object]]:
    """Return the dataset's name and the content of its `dataset-metadata.json`.

    Raises:
        KitError: Kaggle would refuse it.
    """
    # Each ensemble ships what its own members need. Under one name for all, the upload of one would make a
    # new version that the predict.py of another does not accept.
    name = "-".join([prefix, *(competitions if len(competitions) == 1 else ()), "wheels"])
    pythons = ", ".join(sorted({target.minor for target in images}))
    metadata = dataset_metadata.describe(
        name,
        owner=owner,
        title=name.replace("-", " "),
        subtitle="Offline wheels with hashes, installed by predict.py",
        licence="other",
        description=f"Binary wheels for Python {pythons}. Each has its own licence: see manifest.json.",
    )
    return name, metadata


def closures_of(
    plans: Sequence[Ensemble],
    pins: Sequence[Pin],
    roots: Sequence[Root],
    images: Sequence[Target],
    cache: Path,
    *,
    foreign: Sequence[ForeignWheel] = (),
) -> list[Closure]:
    """Download and verify all wheels for each target.

    Args:
        plans: ensembles; what their members require is shipped if the lock has it.
        pins: of the lock.
        roots: distributions to ship with all they need.
        images: the targets.
        cache: folder of downloads.
        foreign: wheels of foreign sources; those that the roots or other wheels ask for are shipped.

    Raises:
        KitError: a wheel is missing or damaged, or a member needs what the bundle does not have.
    """
    names = asked_for(plans, pins, roots)
    downloads = WheelCache(cache)
    needed = {name for item in foreign for target in images for name in item.needs(target)}
    own = own_wheels({*names, *needed}, cache)
    closures = []
    with progress() as display:
        task = display.add_task("wheels", total=len(images), note="")
        for target in images:
            display.update(task, note=target.name)
            ours = own | {item.name: item.by_target[target.name].path for item in foreign}
            closures.append(closure_for(names, pins, target, downloads, ours))
            display.advance(task)
        display.update(task, note="")
    for plan in plans:
        _check_requires(plan, closures)
    return closures


def contents(
    closures: Sequence[Closure], roots: Sequence[Root], *, native: Mapping[str, Path] | None = None
) -> list[Content]:
    """Return the dataset's files: each wheel once, with the Pythons that need it.

    Args:
        closures: of all targets.
        roots: distributions to ship with all they need.
        native: Python tag -> wheel of mmcv-full with compiled operators, shipped beside the portable one.
    """
    shipped = combine(closures, roots)
    portable = {item.wheel.name: item.wheel for item in shipped}.get(NATIVE)
    if portable is not None:
        for tag, path in (native or {}).items():
            tags = wheelinfo.read(path).tag_names()
            wheel = replace(portable, tags=tags, requires={tag: portable.requires[tag]})
            shipped.append(Shipped(path=path, wheel=wheel))
    return [
        Content(
            entry=entry_of(
                item.path, place_wheel(item.path.name, item.wheel.tags), role="wheel", wheel=item.wheel
            ),
            source=item.path,
        )
        for item in shipped
    ]


def accepted_versions(contents: Sequence[Content]) -> dict[str, SpecifierSet]:
    """Return which versions of each wheel of the dataset the others accept, as they say themselves."""
    wheels = [content.entry.wheel for content in contents if content.entry.wheel is not None]
    return {wheel.name: SpecifierSet(wheel.accepts) for wheel in wheels}


def unshipped(pins: Sequence[Pin], closures: Sequence[Closure]) -> list[str]:
    """Return what requirements.in asks for and the bundle does not carry."""
    shipped = {name for closure in closures for name in (*closure.wheels, *closure.left)}
    asked = {pin.name for pin in pins if "requirements.in" in pin.via}
    images = [closure.target for closure in closures]
    return sorted(
        name for name in asked - shipped if not all(target.leaves_to_image(name) for target in images)
    )


def asked_for(plans: Iterable[Ensemble], pins: Sequence[Pin], roots: Sequence[Root]) -> list[str]:
    """Return what to ship with all it needs: the roots, and what members require and the lock has."""
    known = {pin.name for pin in pins}
    required = {canonicalize_name(name) for plan in plans for item in plan.members for name in item.requires}
    names = [root.name for root in roots]
    return [*names, *sorted((required & known) - set(names))]


def _check_requires(plan: Ensemble, closures: Sequence[Closure]) -> None:
    """Refuse a member whose network needs a distribution that the bundle does not have."""
    for member in plan.members:
        for closure in closures:
            # "in the bundle" means a wheel of ours or a distribution that the image surely brings, e.g.
            # numpy.
            needed = map(canonicalize_name, member.requires)
            if absent := [name for name in needed if name not in closure.wheels and name not in closure.left]:
                raise KitError(
                    f"{member.name} needs {', '.join(absent)}, and the bundle for {closure.target.tag} "
                    "does not have it",
                    where=member.name,
                    fix="add it to requirements.in and run `python -m bundle lock`",
                )
