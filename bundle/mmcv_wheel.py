"""Repack mmcv-full 1.7.2 as a pure Python wheel: its Python files, with our operators for the compiled ones.

We do not run mmcv's setup.py: it needs a compiler, and it fails on Python 3.13. We take the files out of the
source distribution.
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
"""Folder of our part of the wheel."""

BUILD_TAG = "1portable"
"""Distinguishes this wheel from a native build of the same version."""

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
"""What mmcv imports, without OpenCV. Any of OpenCV's distributions is good enough, and a requirement for one
of them would install a second cv2 beside the image's."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """The pinned release, prepared for our builds.

    Attributes:
        about: the wheel's description.
        files: path in the wheel -> content: mmcv's Python files and our operators.
        sources: path in the source distribution -> content, of the operators' C++ files.
    """

    about: Description
    files: Mapping[str, bytes]
    sources: Mapping[str, bytes]


def build_wheel(out: Path, *, cache: Path, sdist: Path | None = None) -> Path:
    """Build the portable wheel. The same inputs give the same bytes.

    Args:
        out: folder for the wheel.
        cache: folder for the downloaded source distribution.
        sdist: the source distribution, if you have downloaded it already.

    Returns:
        The wheel, `mmcv_full-1.7.2-1portable-py3-none-any.whl`.

    Raises:
        KitError: the source distribution cannot be downloaded or is not the pinned one, or `out` cannot be
            written.
    """
    made = release(cache=cache, sdist=sdist)
    return wheelfile.build(out, made.about, made.files, build_tag=BUILD_TAG)


def release(*, cache: Path, sdist: Path | None = None) -> Release:
    """Return the pinned release, unpacked, with our operators in place of the compiled ones.

    Raises:
        KitError: the source distribution cannot be downloaded or is not the pinned one.
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
    """Return all regular files of the source distribution by their path below its top folder."""
    top = f"{pin.name}-{pin.version}/"
    files: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None and member.name.startswith(top):
                files[member.name.removeprefix(top)] = content.read()
    return files


def _own_sources() -> list[Path]:
    """Return the paths of the modules that take the place of the compiled one."""
    return [SOURCE / "_ext.py", *sorted(SOURCE.glob("_portable_*.py"))]


def _is_shipped(name: str) -> bool:
    """Return whether a file of the source distribution goes into the wheel: Python files, model zoo tables.

    `mmcv/ops/csrc`, the source of the compiled operators, has no use after the installation.
    """
    path = PurePosixPath(name)
    return path.parts[0] == "mmcv" and path.suffix in {".py", ".json"}
