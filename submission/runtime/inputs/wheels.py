"""Decides which of the bundle's wheels this image needs, and why."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kit.errors import KitError
from kit.manifest import Entry, Manifest, Wheel
from submission.runtime.inputs.versions import accepts, python_tag, runs_here

PROTECTED = frozenset({"torch", "torchvision", "numpy", "triton"})
"""Never installed and never replaced: a torch that is replaced in part does not import."""

SAME_MODULE = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
"""Distributions with the same module under another name. Two of them in one environment break each other."""


@dataclass(frozen=True)
class Choice:
    """The decision about one distribution.

    Attributes:
        name: normalised.
        installed: version in the image; None if the image does not have it.
        entry: the wheel to install; None if the image's copy stays.
        reason: why, as a text for the report.
    """

    name: str
    installed: str | None
    entry: Entry | None
    reason: str

    def as_dict(self) -> dict[str, str | None]:
        """Return the row for the report."""
        wheel = self.entry.wheel if self.entry is not None else None
        return {
            "name": self.name,
            "installed": self.installed,
            "version": wheel.version if wheel is not None else None,
            "file": self.entry.file if self.entry is not None else None,
            "reason": self.reason,
        }


def normalise(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it: "Foo__Bar.baz" gives "foo-bar-baz"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_protected(name: str) -> bool:
    """Return whether a distribution belongs to torch, numpy or CUDA."""
    return name in PROTECTED or name.startswith("nvidia-")


def installed_version(name: str, path: Sequence[str] | None = None) -> str | None:
    """Return the version of a distribution on `sys.path` or on another path; None if it is absent."""
    found = importlib.metadata.distributions(name=name, path=sys.path if path is None else list(path))
    return next((str(distribution.version) for distribution in found), None)


def choose(manifests: Iterable[Manifest], roots: Iterable[str]) -> tuple[list[Choice], dict[str, KitError]]:
    """Decide about everything that some distributions need, directly or through others.

    Args:
        manifests: of all datasets.
        roots: distributions that the networks need.

    Returns:
        The choices in the order in which they were reached, and distribution -> why it is not available.
    """
    wheels: dict[str, list[Entry]] = {}
    for manifest in manifests:
        for entry in manifest.files:
            if entry.wheel is not None:
                wheels.setdefault(normalise(entry.wheel.name), []).append(entry)
    # For roots ["mmdet"] in an image that has scipy 1.17 and numpy, but not mmdet:
    #     mmdet   not in the image: install its wheel, which needs scipy and numpy on this Python
    #     scipy   the image's 1.17 is accepted: keep it, and decide about what it needs
    #     numpy   belongs to the image: keep it
    choices: dict[str, Choice] = {}
    errors: dict[str, KitError] = {}
    waiting = [normalise(name) for name in roots]
    while waiting:
        name = waiting.pop(0)
        if name in choices or name in errors:
            continue
        try:
            choices[name] = _choose_one(name, wheels.get(name, []))
        except KitError as error:
            errors[name] = error
            continue
        wheel = _wheel_of(choices[name], wheels.get(name, []))
        if wheel is not None:
            waiting += [normalise(item) for item in wheel.requires.get(python_tag(), [])]
    return list(choices.values()), errors


def _choose_one(name: str, entries: list[Entry]) -> Choice:
    # In this order: the image's own; the same module under another name; a copy that is good enough; our
    # wheel.
    installed = installed_version(name)
    if is_protected(name):
        if installed is None:
            raise KitError(
                f"this image has no {name}, and {name} is never shipped",
                fix="use a Kaggle image with torch, or install it in this environment",
            )
        return Choice(name, installed, None, "belongs to the image")
    for other in SAME_MODULE.get(name, ()) if installed is None else ():
        if (version := installed_version(other)) is not None:
            return Choice(name, version, None, f"the image has {other} {version}, the same module")
    wheels = [entry.wheel for entry in entries if entry.wheel is not None]
    wanted = wheels[0].accepts if wheels else ""
    if installed is not None and accepts(wanted, installed):
        return Choice(
            name, installed, None, f"the image has {installed}" + (f", {wanted} accepted" if wanted else "")
        )
    for entry in entries:
        if entry.wheel is not None and any(runs_here(tag) for tag in entry.wheel.tags):
            reason = (
                "missing in the image"
                if installed is None
                else f"the image has {installed}, needed is {wanted}"
            )
            return Choice(name, installed, entry, reason)
    if not entries:
        raise KitError(
            f"{name} is neither in this image nor in the bundle",
            fix="build the bundle again for this ensemble",
        )
    tags = sorted({tag for wheel in wheels for tag in wheel.tags})
    raise KitError(
        f"the bundle has no wheel of {name} for {python_tag()}; it has {', '.join(tags)}",
        fix=f"build the bundle with a target of {python_tag()}, or pin the notebook to a supported image",
    )


def _wheel_of(choice: Choice, entries: list[Entry]) -> Wheel | None:
    """Return the wheel whose requirements count: the one to install, else one that would run here."""
    if choice.entry is not None:
        return choice.entry.wheel
    return next(
        (
            entry.wheel
            for entry in entries
            if entry.wheel is not None and any(runs_here(tag) for tag in entry.wheel.tags)
        ),
        None,
    )


def canonical_name(entry: Entry) -> str:
    """Return the file name that installers want: {name}-{version}[-{build}]-{python}-{abi}-{platform}.whl.

    If the wheel was uploaded under another name, its name, version and tags come from the manifest:
    "0007.bin" with a-b, 1.0, py2-none-any and py3-none-any gives "a_b-1.0-py2.py3-none-any.whl".
    """
    assert entry.wheel is not None
    shipped = PurePosixPath(entry.file).name
    parts = shipped.removesuffix(".whl").split("-")
    if (
        shipped.endswith(".whl")
        and len(parts) in {5, 6}
        and parts[1].replace("_", "-") == entry.wheel.version.replace("_", "-")
    ):
        return shipped
    # ["py2-none-any", "py3-none-any"] -> "py2.py3", "none", "any"
    pythons, abis, platforms = zip(*(tag.split("-", 2) for tag in entry.wheel.tags), strict=True)
    compressed = "-".join(".".join(dict.fromkeys(items)) for items in (pythons, abis, platforms))
    name = re.sub(r"[-_.]+", "_", entry.wheel.name)
    return f"{name}-{entry.wheel.version.replace('-', '_')}-{compressed}.whl"
