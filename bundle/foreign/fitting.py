"""Whether a wheel that was built here runs on a target: Python, platform, and the C library."""

from __future__ import annotations

import re
import zipfile

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from bundle.wheelinfo import WheelInfo
from kit.local.targets import Target

_GLIBC = re.compile(rb"GLIBC_2\.(\d+)\0")
"""How a library names a version of glibc that it needs."""
_ELF = b"\x7fELF"
"""Start of a compiled program."""


def misfit(info: WheelInfo, target: Target) -> str | None:
    """Return why a wheel does not run on a target, in half a sentence; None if it does.

    Args:
        info: of a wheel that was compiled on this machine, or needs no compiler.
        target: the image.
    """
    if not info.tags & _tags(target):
        return f"it is compiled for {', '.join(info.tag_names())}"
    python = target.environment()["python_full_version"]
    try:
        accepted = SpecifierSet(info.requires_python).contains(python, prereleases=True)
    except InvalidSpecifier:
        return f"its Requires-Python is {info.requires_python!r}"
    if not accepted:
        return f"it asks for Python {info.requires_python}"
    # A manylinux tag is a promise about glibc. "linux_x86_64" is none: such a wheel needs whatever glibc its
    # libraries name.
    if not any(tag.platform.startswith("linux_") for tag in info.tags):
        return None
    needed, had = _glibc_minor(info), int(target.glibc.partition(".")[2])
    if needed > had:
        return f"it needs glibc 2.{needed}, and the image surely has no newer one than {target.glibc}"
    return None


def fits(file: str, target: Target) -> bool:
    """Return whether the target's installers accept a wheel, by its file's name; False if it is none."""
    try:
        return bool(parse_wheel_filename(file)[3] & _tags(target))
    except InvalidWheelFilename:
        return False


def _tags(target: Target) -> set[Tag]:
    """Return the tags that installers on the target accept, with those of wheels that are built there."""
    version = (3, int(target.minor.partition(".")[2]))
    platforms = [*target.platforms(), f"linux_{target.machine}"]
    return {
        *cpython_tags(version, abis=[target.tag], platforms=platforms),
        *compatible_tags(version, interpreter=target.tag, platforms=platforms),
    }


def _glibc_minor(info: WheelInfo) -> int:
    """Return the newest glibc 2.x that libraries and programs in a wheel ask for; 0 if there are none."""
    found = [0]
    with zipfile.ZipFile(info.path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if ".so" in name.rpartition("/")[2] or data.startswith(_ELF):
                found += [int(minor) for minor in _GLIBC.findall(data)]
    return max(found)
