"""`python -m bundle native`: compile mmcv's operators for targets; `build --native-mmcv` ships them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from bundle import mmcv_wheel
from bundle.native import ways, wheel
from bundle.native.libraries import Library, Way, libraries
from bundle.native.order import Order
from bundle.native.variant import variant_of
from bundle.target_options import TARGETS
from kit.command_line import option
from kit.errors import KitError
from kit.local import targets
from kit.local.console import show_table
from kit.local.kaggle.account import account
from kit.local.kaggle.waiting import Waiting, open_wire, say
from kit.local.targets import Target
from kit.local.verbs import Verb

_HEADINGS = ("image", "compiled for", "how")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compile mmcv's operators for Kaggle's images: on this machine, in their container, or on Kaggle itself.

    Attributes:
        targets: names or Python tags of the images; all known ones if empty.
        way: the only way to take; "auto" takes this machine, then docker.
        cache: folder of downloads; what is compiled is kept there.
        registry: host that has the containers, where the target's reference names none.
        owner: Kaggle user name; None asks Kaggle for that of the credentials.
        state: folder for the kernels' state.
        waiting: how long Kaggle may take.
    """

    targets: tuple[str, ...] = field(default=(), metadata=TARGETS)
    way: Literal["auto", "here", "docker", "kernel"] = field(
        default="auto", metadata=option("auto: this machine if it is as the target, else docker")
    )
    cache: Path = field(default=Path("build/wheels"), metadata=option("downloads", metavar="DIR"))
    registry: str | None = field(
        default=None, metadata=option("host of the containers, if their names have none", metavar="HOST")
    )
    owner: str | None = field(
        default=None, metadata=option("Kaggle user name (default: that of the credentials)", metavar="NAME")
    )
    state: Path = field(
        default=Path("dist/native"), metadata=option("folder for the kernels' state", metavar="DIR")
    )
    waiting: Waiting


def run(options: Options) -> int:
    """Run the verb `native`: compile what is not kept yet and print the libraries' paths.

    Raises:
        KitError: the sources do not compile, or no target's library could be made.
    """
    images = targets.choose(options.targets, targets.known())
    release = mmcv_wheel.release(cache=options.cache)
    if options.way == "kernel":
        with open_wire(options.waiting) as wire:
            owner = options.owner or account(wire).name

            def on_kaggle(order: Order, target: Target, folder: Path, _log: Path) -> None:
                ways.kernel(order, target, folder, wire=wire, owner=owner, state=options.state, say=say)

            found, missing = libraries(images, release, options.cache, {"kernel": on_kaggle}, say=say)
    else:
        chosen = local_ways(options.registry)
        chosen = chosen if options.way == "auto" else {options.way: chosen[options.way]}
        found, missing = libraries(images, release, options.cache, chosen, say=say)
    show(images, found, missing)
    if not found:
        raise _none(missing)
    for library in found:
        print(library.path)
    return 0


def local_ways(registry: str | None = None) -> dict[str, Way]:
    """Return the ways that need no Kaggle account."""

    def here(order: Order, _target: Target, folder: Path, log: Path) -> str | None:
        return ways.here(order, folder, log)

    return {"here": here, "docker": partial(ways.docker, registry=registry)}


def native_wheels(images: Sequence[Target], cache: Path) -> dict[str, Path]:
    """Return Python tag -> wheel with compiled operators, for the targets that have any.

    Args:
        images: the targets.
        cache: folder of downloads; what `native` compiled before is in it.

    Raises:
        KitError: the sources do not compile, or there is no library for any target.
    """
    release = mmcv_wheel.release(cache=cache)
    found, missing = libraries(images, release, cache, local_ways(), say=say)
    show(images, found, missing)
    if not found:
        raise _none(missing)
    return wheel.wheels(found, release, cache / "native")


def show(images: Sequence[Target], found: Sequence[Library], missing: Mapping[str, str]) -> None:
    """Print what each target has."""
    how = {library.variant: library.how for library in found}
    rows = []
    for target in images:
        variant = variant_of(target)
        told = missing.get(target.name) or (how[variant] if not isinstance(variant, str) else variant)
        rows.append((target.name, "" if isinstance(variant, str) else str(variant), told))
    show_table("compiled operators of mmcv; elsewhere the portable ones run", _HEADINGS, rows)


def _none(missing: Mapping[str, str]) -> KitError:
    told = "\n".join(f"  {name}: {reason}" for name, reason in missing.items())
    return KitError(
        f"mmcv's operators are compiled for none of the images:\n{told}",
        fix="run `python -m bundle native --way kernel`, which compiles on Kaggle, or leave out "
        "--native-mmcv",
    )


VERB = Verb(
    "native",
    Options,
    run,
    "wheels and the lock",
    ("native --target cp313", "native --way kernel"),
    "objects and libraries that are compiled are kept",
)
"""`native [--target NAME] [--way here|docker|kernel]`."""
