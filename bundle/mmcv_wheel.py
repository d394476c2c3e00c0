"""Repack mmcv-full 1.7.2 as a pure Python wheel: its own Python files, our operators for the compiled ones.

mmcv's setup.py is not run (it needs a compiler, and fails on Python 3.13); the files come out of the archive.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path, PurePosixPath

from bundle.sdist import PinnedSdist, fetch, read_pin, verified
from bundle.wheelfile import write_wheel
from kit.errors import KitError

SOURCE = Path(__file__).parent / "packages" / "mmcv_portable"
"""Where our part of the wheel lives."""

BUILD_TAG = "1portable"
"""Tells this wheel from a native build of the same version."""

_LICENCES = ("LICENSE", "LICENSES.md")

_REQUIRES = (
    "addict",
    "numpy",
    "packaging",
    "Pillow",
    "pyyaml",
    "torch",
    "torchvision",
    "yapf<0.40.2",  # later ones lack the argument mmcv's Config.pretty_text passes
)
"""What mmcv imports. OpenCV is left out: any of its distributions will do, and asking for one of them would
install a second cv2 beside the one that is there."""


def build_wheel(out: Path, *, cache: Path, sdist: Path | None = None) -> Path:
    """Build the portable wheel; the same inputs give the same bytes.

    Args:
        out: folder for the wheel.
        cache: folder where the downloaded source distribution is kept.
        sdist: the source distribution, when it is already at hand.

    Returns:
        The wheel, `mmcv_full-1.7.2-1portable-py3-none-any.whl`.

    Raises:
        KitError: the source distribution cannot be had or is not the pinned one, or `out` cannot be written.
    """
    pin = read_pin(SOURCE / "sdist.json")
    archive = fetch(pin, cache) if sdist is None else verified(sdist, pin)
    stem = f"{pin.name.replace('-', '_')}-{pin.version}"
    dist_info = f"{stem}.dist-info"
    taken = _sdist_files(archive, pin)
    files = {name: data for name, data in taken.items() if _is_shipped(name)}
    files |= {f"mmcv/{source.name}": source.read_bytes() for source in _own_sources()}
    files |= {f"{dist_info}/licenses/{name}": taken[name] for name in _LICENCES}
    files[f"{dist_info}/METADATA"] = _metadata(pin).encode()
    files[f"{dist_info}/WHEEL"] = _wheel_file().encode()
    wheel = out / f"{stem}-{BUILD_TAG}-py3-none-any.whl"
    write_wheel(wheel, files, dist_info=dist_info)
    return wheel


def _sdist_files(archive: Path, pin: PinnedSdist) -> dict[str, bytes]:
    """Every regular file of the source distribution, by its path under the top folder."""
    top = f"{pin.name}-{pin.version}/"
    files: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None and member.name.startswith(top):
                files[member.name.removeprefix(top)] = content.read()
    return files


def _own_sources() -> list[Path]:
    """Our modules in place of the compiled one."""
    return [SOURCE / "_ext.py", *sorted(SOURCE.glob("_portable_*.py"))]


def _is_shipped(name: str) -> bool:
    """Whether a file of the source distribution belongs in the wheel: Python files and model zoo tables.

    `mmcv/ops/csrc`, the source of the compiled operators, is of no use once mmcv is installed.
    """
    path = PurePosixPath(name)
    return path.parts[0] == "mmcv" and path.suffix in {".py", ".json"}


def _metadata(pin: PinnedSdist) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {pin.name}",
        f"Version: {pin.version}",
        "Summary: OpenMMLab Computer Vision Foundation, with a subset of its operators on torchvision",
        "Home-page: https://github.com/open-mmlab/mmcv",
        "Author: MMCV Contributors",
        "License-Expression: Apache-2.0",
        *(f"License-File: {name}" for name in _LICENCES),
        "Requires-Python: >=3.11",
        *(f"Requires-Dist: {requirement}" for requirement in _REQUIRES),
        "Description-Content-Type: text/markdown",
        "",
        (SOURCE / "README.md").read_text(encoding="utf-8"),
    ]
    return "\n".join(lines)


def _wheel_file() -> str:
    return (
        "Wheel-Version: 1.0\n"
        "Generator: kaggle-offline-kit\n"
        "Root-Is-Purelib: true\n"
        "Tag: py3-none-any\n"
        f"Build: {BUILD_TAG}\n"
    )


def add_wheel_command(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `wheel mmcv --out DIR [--cache DIR] [--sdist FILE]` to a command line.

    The parsed arguments carry `run`, a function that takes them and returns the exit code.
    """
    parser = verbs.add_parser("wheel", help="build one of our own wheels")
    parser.add_argument("package", choices=["mmcv"], help="which package")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the wheel")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("build/wheels"),
        metavar="DIR",
        help="folder where downloads are kept",
    )
    parser.add_argument(
        "--sdist", type=Path, metavar="FILE", help="the source distribution, if already at hand"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.out.exists() and not arguments.out.is_dir():
        raise KitError("--out is a file", where=arguments.out, fix="name a folder")
    print(build_wheel(arguments.out, cache=arguments.cache, sdist=arguments.sdist))
    return 0
