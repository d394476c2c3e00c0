"""`python -m bundle wheel`: build the distributions that are on no index."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from bundle import mmcv_wheel, native_mmcv, own_wheel
from kit.errors import KitError


def _from_sources(source: Path) -> Callable[[Path], Path]:
    return lambda cache: own_wheel.build_wheel(source, cache / "own")


OWN_WHEELS: Mapping[str, Callable[[Path], Path]] = {
    "mmcv-full": lambda cache: mmcv_wheel.build_wheel(cache / "own", cache=cache),
    **{name: _from_sources(source) for name, source in own_wheel.SOURCES.items()},
}
"""Normalised distribution name -> function from the cache folder to the path of the wheel that it builds."""


def add_wheel_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `wheel mmcv|cbnetv2|vit-adapter --out DIR` to a command line.

    The parsed arguments carry `run`, a function that takes them and returns the exit code.
    """
    packages = verbs.add_parser("wheel", help="build one of our own wheels").add_subparsers(
        required=True, metavar="PACKAGE"
    )
    mmcv = _parser(packages, "mmcv", "mmcv-full 1.7.2 with portable operators, or with compiled ones")
    mmcv.add_argument(
        "--cache",
        type=Path,
        default=Path("build/wheels"),
        metavar="DIR",
        help="folder where downloads are kept",
    )
    mmcv.add_argument("--sdist", type=Path, metavar="FILE", help="the source distribution, if at hand")
    mmcv.add_argument(
        "--native", action="store_true", help="compile the operators for this Python, torch and CPU"
    )
    mmcv.set_defaults(build=_build_mmcv)
    for name, source in own_wheel.SOURCES.items():
        _parser(packages, name, f"our package {name}").set_defaults(
            build=lambda its, source=source: own_wheel.build_wheel(source, its.out)
        )


def _build_mmcv(arguments: argparse.Namespace) -> Path:
    build = native_mmcv.build_wheel if arguments.native else mmcv_wheel.build_wheel
    return build(arguments.out, cache=arguments.cache, sdist=arguments.sdist)


def _parser(
    packages: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str
) -> argparse.ArgumentParser:
    parser = packages.add_parser(name, help=what)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the wheel")
    parser.set_defaults(run=_run)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if arguments.out.exists() and not arguments.out.is_dir():
        raise KitError("--out is a file", where=arguments.out, fix="name a folder")
    print(arguments.build(arguments))
    return 0
