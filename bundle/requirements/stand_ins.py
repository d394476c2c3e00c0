"""Empty wheels that stand for what an image has and no bundle ships: torch, numpy, CUDA.

The resolver must neither choose another torch than the image's nor look at what torch needs. For a target
that has numpy 2.0.2 it therefore gets a wheel `numpy-2.0.2+image` without any content and the constraint
`numpy==2.0.2+image`: whoever asks for `numpy<2` is named, and `numpy>=1.26` is met. These wheels are never
shipped; of an unknown version there is none, and the resolver leaves such a distribution out.
"""

from __future__ import annotations

from pathlib import Path

from bundle.wheelfile import write_wheel
from kit.local.targets import Target

LOCAL = "image"
"""Local part of their versions; no index has such a version."""


def left_out(target: Target) -> list[str]:
    """Return the names that a target keeps and whose version nobody knows, sorted."""
    known = target.packages()
    return sorted(name for name in _plain(target) if known.get(name) is None)


def pinned(target: Target) -> dict[str, str]:
    """Return the names that a target keeps -> the versions of their stand-ins, e.g. "2.0.2+image"."""
    known = target.packages()
    return {name: f"{known[name]}+{LOCAL}" for name in sorted(_plain(target)) if known.get(name) is not None}


def _plain(target: Target) -> list[str]:
    """Return what is never shipped, by name; patterns such as "nvidia-*" are left to their askers."""
    return [name for name in target.never_ship if "*" not in name]


def write(target: Target, folder: Path) -> None:
    """Write the stand-ins of a target into a folder.

    Args:
        target: the image.
        folder: it exists.
    """
    for name, version in pinned(target).items():
        plain = name.replace("-", "_")
        dist_info = f"{plain}-{version}.dist-info"
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n"
        kind = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        files = {f"{dist_info}/METADATA": about.encode(), f"{dist_info}/WHEEL": kind.encode()}
        write_wheel(folder / f"{plain}-{version}-py3-none-any.whl", files, dist_info=dist_info)
