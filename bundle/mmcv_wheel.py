"""Repack mmcv-full 1.7.2 as a pure Python wheel: its own Python files, our operators for the compiled ones.

mmcv's setup.py is not run (it needs a compiler, and fails on Python 3.13); the files come out of the archive.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundle import wheelfile
from bundle.sdist import PinnedSdist, fetch, read_pin, verified
from bundle.wheelfile import Description

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


@dataclass(frozen=True, kw_only=True)
class Release:
    """The pinned release as our builds take it.

    Attributes:
        about: what the wheel will say of itself.
        files: path in the wheel -> content: mmcv's Python files and our operators.
        sources: path in the source distribution -> content, of the operators' C++.
    """

    about: Description
    files: Mapping[str, bytes]
    sources: Mapping[str, bytes]


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
    made = release(cache=cache, sdist=sdist)
    return wheelfile.build(out, made.about, made.files, build_tag=BUILD_TAG)


def release(*, cache: Path, sdist: Path | None = None) -> Release:
    """The pinned source distribution, unpacked, with our operators in place of the compiled ones.

    Raises:
        KitError: the source distribution cannot be had or is not the pinned one.
    """
    pin = read_pin(SOURCE / "sdist.json")
    archive = fetch(pin, cache) if sdist is None else verified(sdist, pin)
    taken = _sdist_files(archive, pin)
    about = Description(
        name=pin.name,
        version=pin.version,
        summary="OpenMMLab Computer Vision Foundation, with a subset of its operators on torchvision",
        licence="Apache-2.0",
        licence_files={name: taken[name] for name in _LICENCES},
        requires_python=">=3.11",
        requires=_REQUIRES,
        readme=(SOURCE / "README.md").read_text(encoding="utf-8"),
        more=(("Home-page", "https://github.com/open-mmlab/mmcv"), ("Author", "MMCV Contributors")),
    )
    files = {name: data for name, data in taken.items() if _is_shipped(name)}
    files |= {f"mmcv/{source.name}": source.read_bytes() for source in _own_sources()}
    sources = {name: data for name, data in taken.items() if name.startswith("mmcv/ops/csrc/")}
    return Release(about=about, files=files, sources=sources)


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
