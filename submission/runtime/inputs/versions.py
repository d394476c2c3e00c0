"""Does an installed version meet a specifier, and does a wheel's tag fit this interpreter?

`packaging` judges specifiers: the image's own copy, else the one inside pip, which decides the same way. If
an image has neither, a version counts only if the specifier names exactly this version; for any other one the
bundle's wheel is installed, which meets the specifier for certain. So there is no second implementation of
version rules that could decide differently on Kaggle than here.

Code of our own compares tags: the decision what to install must be possible without `packaging` too.
"""

from __future__ import annotations

import importlib
import platform
import re
import sys
import warnings
from types import ModuleType

from kit.errors import KitError

_LEGACY = {
    "manylinux1": "manylinux_2_5",
    "manylinux2010": "manylinux_2_12",
    "manylinux2014": "manylinux_2_17",
}


def accepts(specifier: str, version: str) -> bool:
    """Return whether an installed version meets a specifier like ">=1.2,<2" ("" = any).

    An installed pre-release is judged by its number alone, as pip does. Text that is no version meets no
    specifier but the empty one.

    Raises:
        KitError: the specifier is malformed.
    """
    if not specifier.strip():
        return True
    specifiers = _specifiers()
    if specifiers is None:
        return specifier.strip() == f"=={version}"
    try:
        wanted = specifiers.SpecifierSet(specifier)
    except specifiers.InvalidSpecifier as error:
        raise KitError(
            f"{specifier!r} is not a version specifier", fix="build the bundle again and render again"
        ) from error
    try:
        return bool(wanted.contains(version, prereleases=True))
    except ValueError:  # InvalidVersion of older releases of packaging
        return False


def _specifiers() -> ModuleType | None:
    """The module `packaging.specifiers` from wherever it is."""
    for package in ("packaging", "pip._vendor.packaging"):
        try:
            with warnings.catch_warnings():
                # setuptools hooks into imports of pip and may warn about distutils, which nobody here uses.
                warnings.simplefilter("ignore")
                return importlib.import_module(f"{package}.specifiers")
        except Exception:  # noqa: BLE001, S112 - a broken copy in the image counts as none
            continue
    return None


def python_tag(version: tuple[int, int] | None = None) -> str:
    """Return the tag of an interpreter, by default of this one: "cp313"."""
    major, minor = version or sys.version_info[:2]
    return f"cp{major}{minor}"


def runs_here(tag: str) -> bool:
    """Return whether a wheel's tag fits this interpreter and this machine."""
    # A tag has three parts: Python, ABI, platform. On Python 3.13, x86_64, glibc 2.35:
    #     cp313-cp313-manylinux_2_28_x86_64   yes: same Python, glibc is new enough
    #     cp310-abi3-manylinux_2_17_x86_64    yes: the stable ABI of 3.10 holds in later versions
    #     py3-none-any                        yes: no compiled code
    #     cp312-cp312-manylinux_2_28_x86_64   no: compiled for another Python
    #     cp313-cp313-manylinux_2_39_x86_64   no: needs a newer glibc
    python, _, rest = tag.partition("-")
    abi, _, where = rest.partition("-")
    return _python_fits(python, abi) and _platform_fits(where)


def _python_fits(python: str, abi: str) -> bool:
    match = re.fullmatch(r"(cp|py)(\d)(\d*)", python)
    if match is None or int(match[2]) != sys.version_info[0]:
        return False
    # "py3" names no minor version and fits any 3.x; "py310" fits 3.10 and later.
    minor = int(match[3]) if match[3] else 0
    if match[1] == "cp" and abi != "abi3" and minor != sys.version_info[1]:
        return False
    return minor <= sys.version_info[1] and abi in {"none", "abi3", python_tag()}


def _platform_fits(where: str) -> bool:
    if where == "any":
        return True
    machine = platform.machine()
    if not sys.platform.startswith("linux") or not where.endswith("_" + machine):
        return False
    name = where.removesuffix("_" + machine)
    name = _LEGACY.get(name, name)
    if name == "linux":
        return True
    match = re.fullmatch(r"manylinux_(\d+)_(\d+)", name)
    library, found = platform.libc_ver()
    if match is None or library != "glibc":
        return False
    return (int(match[1]), int(match[2])) <= tuple(int(part) for part in found.split(".")[:2])
