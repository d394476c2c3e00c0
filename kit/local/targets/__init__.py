"""The known Kaggle images, one JSON file each, with their markers, wheel tags and preinstalled packages.

Facts about an image get old. Each file says in `notes` where its facts come from and which facts are unknown.
An unknown version is null and never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name

from kit.artefacts import read_json
from kit.errors import KitError, did_you_mean
from kit.typed_json import from_plain

_NUMBER = re.compile(r"[0-9]{1,3}")
_GLIBC = re.compile(r"2\.[0-9]{1,3}")
_OLDEST_GLIBC_MINOR = 5
"""manylinux_2_5 is manylinux1, the oldest platform tag for x86_64."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """An accelerator of a session: its name, the number of them, and its compute capability, e.g. "7.5"."""

    name: str
    count: int
    compute_capability: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One image on which a bundle must install.

    Attributes:
        name: unique, e.g. "kaggle-2026-10".
        python: version as far as it is known, e.g. "3.12.13" or "3.13".
        tag: wheel tag of that Python, e.g. "cp312".
        machine: hardware name, e.g. "x86_64".
        glibc: newest glibc of the manylinux wheels that we accept, e.g. "2.28"; the image's own may be newer.
        since: first month as Kaggle's default image, e.g. "2026-10"; "" if it never was the default.
        until: last month as Kaggle's default image; "" if it still is.
        torch: version without the local build tag; None if unknown.
        torchvision: as `torch`.
        numpy: as `torch`.
        cuda: CUDA version that torch was built for; None if unknown or built without CUDA.
        gpus: accelerators of sessions with this image.
        image: full container reference with digest; None if unknown.
        freeze: name -> version of every distribution in the image (`pip freeze`); None if unknown.
        never_ship: patterns of names; the image's own distribution is used, whatever our wheels require.
        image_has: name -> version of distributions that the image certainly has; None for an unknown version.
        notes: sources and unknown facts, for readers.
        accelerator: kind of the sessions that get this image; CPU sessions get another one than GPU sessions.
            None if the target is no Kaggle image.
        driver: version of the NVIDIA driver; None if unknown or without a GPU.
        torch_arch: what torch has kernels for, e.g. ["sm_75", "sm_90"]; None if unknown.
        ram_gb: memory of a session in GB; None if unknown.
        cores: logical processors of a session; None if unknown.
        disks: folder -> size in GB of the disk behind it; None if unknown.
        requires: name -> Requires-Dist lines of the distributions in `freeze`; None if unknown.
        observed: when the facts were seen, e.g. "2026-09" or "2026-11-29"; None if nobody saw the image.
        source: who says so, in a few words; None as for `observed`.
    """

    name: str
    python: str
    tag: str
    machine: str
    glibc: str
    since: str
    until: str
    torch: str | None
    torchvision: str | None
    numpy: str | None
    cuda: str | None
    gpus: list[Gpu]
    image: str | None
    freeze: dict[str, str] | None
    never_ship: list[str]
    image_has: dict[str, str | None]
    notes: list[str]
    accelerator: Literal["gpu", "cpu"] | None = None
    driver: str | None = None
    torch_arch: list[str] | None = None
    ram_gb: float | None = None
    cores: int | None = None
    disks: dict[str, float] | None = None
    requires: dict[str, list[str]] | None = None
    observed: str | None = None
    source: str | None = None

    @property
    def minor(self) -> str:
        """Python's version without the patch level, e.g. "3.13"."""
        return ".".join(self.python.split(".")[:2])

    def leaves_to_image(self, name: str) -> bool:
        """Return whether a bundle for this target must not contain a distribution."""
        return any(fnmatchcase(canonicalize_name(name), pattern) for pattern in self.never_ship)

    def environment(self) -> dict[str, str]:
        """Return the variables of environment markers on the target, whichever Python runs this code."""
        return marker_environment(self.python, machine=self.machine)

    def platforms(self) -> list[str]:
        """Return the platform tags that the target installs, newest first, with their old spellings.

        For glibc 2.28: manylinux_2_28_x86_64, ..., manylinux_2_17_x86_64, manylinux2014_x86_64, ...,
        manylinux_2_5_x86_64, manylinux1_x86_64. pip has to be told each of them.
        """
        # PEP 600: a wheel for glibc 2.17 runs on every newer glibc. So an image of glibc 2.28 takes all tags
        # from 2_28 down. Three of them also have names from before PEP 600.
        major, minor = (int(part) for part in self.glibc.split("."))
        legacy = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
        tags = []
        for number in range(minor, _OLDEST_GLIBC_MINOR - 1, -1):
            tags.append(f"manylinux_{major}_{number}_{self.machine}")
            if number in legacy:
                tags.append(f"{legacy[number]}_{self.machine}")
        return tags

    def packages(self) -> dict[str, str | None]:
        """Return name -> version of the distributions in `image_has`; the freeze fills in unknown versions.

        Local build tags are left out: "2.11.0+cu128" of the freeze gives "2.11.0".
        """
        freeze: dict[str, str] = {
            canonicalize_name(name): version for name, version in (self.freeze or {}).items()
        }
        known = {name: version or freeze.get(name) for name, version in self.image_has.items()}
        return {name: version and version.partition("+")[0] for name, version in known.items()}


def marker_environment(python: str, *, machine: str = "x86_64") -> dict[str, str]:
    """Return the marker variables of CPython on Linux.

    Args:
        python: "3.13" or "3.13.1"; without a patch level, .0 is added.
        machine: hardware name.

    Raises:
        KitError: `python` has another form.
    """
    parts = python.split(".")
    if len(parts) not in {2, 3} or parts[0] != "3" or not all(_NUMBER.fullmatch(part) for part in parts):
        raise KitError(f"{python!r} is not a version of Python 3", fix='write it as "3.13" or "3.13.1"')
    full = python if len(parts) == 3 else f"{python}.0"
    # All variables of PEP 508. The system's release and version differ between machines and stay empty; no
    # wheel of ours asks for them.
    return {
        "implementation_name": "cpython",
        "implementation_version": full,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": full,
        "python_version": ".".join(parts[:2]),
        "sys_platform": "linux",
    }


def load(path: Path) -> Target:
    """Read one target.

    Raises:
        KitError: the file is missing or not JSON, or a field is missing, unknown or of the wrong type, or no
            version.
    """
    target = from_plain(Target, read_json(path), where=path)
    if target.tag != "cp" + target.minor.replace(".", ""):
        raise KitError(
            f"the tag {target.tag} is not that of Python {target.python}",
            where=path,
            fix="correct tag or python",
        )
    marker_environment(target.python)
    if not _GLIBC.fullmatch(target.glibc):
        raise KitError(f"{target.glibc!r} is no version of glibc", where=path, fix='write it as "2.28"')
    return target


def known(folder: Path | None = None) -> list[Target]:
    """Return all targets of a folder, by default those of the kit, sorted by name.

    Raises:
        KitError: a file does not describe a target, or there is none.
    """
    if folder is None:
        # This package runs from the source tree and never from a zip, so its data are files on the disk.
        folder = Path(str(files(__package__)))
    paths = list(folder.glob("*.json"))
    if not paths:
        raise KitError("no image is described here", where=folder, fix="give a folder with one JSON each")
    return sorted(map(load, paths), key=lambda target: target.name)


def names() -> list[str]:
    """Return what chooses an image, from the names of the files: "kaggle-2026-10", ..., "cp313"."""
    folder = Path(str(files(__package__)))
    return [
        *sorted(path.stem for path in folder.glob("*.json")),
        *(f"cp{minor}" for minor in ("311", "312", "313")),
    ]


def choose(wanted: Sequence[str], targets: Sequence[Target]) -> list[Target]:
    """Choose targets by name or by Python tag.

    Args:
        wanted: names and tags, e.g. "kaggle-2026-10" or "cp313"; if it is empty, all targets are chosen.
        targets: to choose from.

    Raises:
        KitError: no target has that name or tag; the message lists the targets.
    """
    chosen = [target for target in targets if not wanted or {target.name, target.tag} & set(wanted)]
    for item in wanted:
        if not any(item in {target.name, target.tag} for target in targets):
            listed = ", ".join(f"{target.name} ({target.tag})" for target in targets)
            near = did_you_mean(item, {part for target in targets for part in (target.name, target.tag)})
            raise KitError(f"no target is named {item!r}", fix=f"{near}choose one of {listed}")
    return chosen
