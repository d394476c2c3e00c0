"""`python -m bundle wheel`: build the distributions that are on no index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bundle import mmcv_wheel, own_wheel
from bundle.native import wheel as native_wheel
from kit.command_line import option
from kit.errors import KitError
from kit.local.verbs import Verb, Verbs


@dataclass(frozen=True, kw_only=True)
class OwnWheel:
    """Build the wheel of one of our own packages."""

    out: Path = field(metadata=option("folder for the wheel", metavar="DIR"))


@dataclass(frozen=True, kw_only=True)
class MmcvWheel:
    """Build mmcv-full 1.7.2 with portable operators, or with compiled ones."""

    out: Path = field(metadata=option("folder for the wheel", metavar="DIR"))
    cache: Path = field(
        default=Path("build/wheels"), metadata=option("folder where downloads are kept", metavar="DIR")
    )
    sdist: Path | None = field(
        default=None, metadata=option("the source distribution, if at hand", metavar="FILE")
    )
    native: bool = field(
        default=False, metadata=option("compile the operators for this Python, torch and CPU")
    )


def _mmcv(options: MmcvWheel) -> int:
    build = native_wheel.build_wheel if options.native else mmcv_wheel.build_wheel
    return _print(lambda out: build(out, cache=options.cache, sdist=options.sdist), options.out)


def _own(source: Path) -> Callable[[OwnWheel], int]:
    return lambda options: _print(lambda out: own_wheel.build_wheel(source, out), options.out)


def _print(build: Callable[[Path], Path], out: Path) -> int:
    """Build a wheel in a folder and print its path."""
    if out.exists() and not out.is_dir():
        raise KitError("--out is a file", where=out, fix="name a folder")
    print(build(out))
    return 0


VERB = Verbs(
    "wheel",
    "Build one of our own wheels.",
    (
        Verb(
            "mmcv",
            MmcvWheel,
            _mmcv,
            "wheels",
            ("mmcv --out wheels", "mmcv --out wheels --native"),
            "downloads are kept; there is no wheel yet",
        ),
        *(
            Verb(name, OwnWheel, _own(source), "wheels", (f"{name} --out wheels",), "there is no wheel yet")
            for name, source in own_wheel.SOURCES.items()
        ),
    ),
    "wheels and the lock",
    ("wheel mmcv --out wheels",),
)
"""`wheel mmcv|cbnetv2|vit-adapter --out DIR`."""
