"""Which of the bundle's wheels this image needs, and why."""

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
"""Never installed and never displaced: half of a replaced torch does not import."""

SAME_MODULE = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
"""Distributions that bring the same module under another name; two of them side by side break each other."""


@dataclass(frozen=True)
class Choice:
    """What is done about one distribution.

    Attributes:
        name: normalised.
        installed: version in the image, None where it lacks it.
        entry: the wheel to install, None where the image's copy is kept.
        reason: for people.
    """

    name: str
    installed: str | None
    entry: Entry | None
    reason: str

    def as_dict(self) -> dict[str, str | None]:
        """For the report."""
        wheel = self.entry.wheel if self.entry is not None else None
        return {
            "name": self.name,
            "installed": self.installed,
            "version": wheel.version if wheel is not None else None,
            "file": self.entry.file if self.entry is not None else None,
            "reason": self.reason,
        }


def normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_protected(name: str) -> bool:
    """Whether a distribution belongs to torch, numpy or CUDA."""
    return name in PROTECTED or name.startswith("nvidia-")


def installed_version(name: str, path: Sequence[str] | None = None) -> str | None:
    """Version of a distribution on `sys.path` or on another path, None where it is absent."""
    found = importlib.metadata.distributions(name=name, path=sys.path if path is None else list(path))
    return next((str(distribution.version) for distribution in found), None)


def choose(manifests: Iterable[Manifest], roots: Iterable[str]) -> tuple[list[Choice], dict[str, KitError]]:
    """Walk what the networks require and decide for every distribution on the way.

    Args:
        manifests: of all datasets.
        roots: distributions the networks need.

    Returns:
        Choices in the order they were reached, and distribution -> why it cannot be had.
    """
    shelf: dict[str, list[Entry]] = {}
    for manifest in manifests:
        for entry in manifest.files:
            if entry.wheel is not None:
                shelf.setdefault(normalise(entry.wheel.name), []).append(entry)
    choices: dict[str, Choice] = {}
    errors: dict[str, KitError] = {}
    waiting = [normalise(name) for name in roots]
    while waiting:
        name = waiting.pop(0)
        if name in choices or name in errors:
            continue
        try:
            choices[name] = _choose_one(name, shelf.get(name, []))
        except KitError as error:
            errors[name] = error
            continue
        wheel = _wheel_of(choices[name], shelf.get(name, []))
        if wheel is not None:
            waiting += [normalise(item) for item in wheel.requires.get(python_tag(), [])]
    return list(choices.values()), errors


def _choose_one(name: str, entries: list[Entry]) -> Choice:
    installed = installed_version(name)
    if is_protected(name):
        if installed is None:
            raise KitError(
                f"this image has no {name}, and {name} is never shipped",
                fix="use a Kaggle image with torch, or install it here",
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
            fix="build the bundle again for the networks of this ensemble",
        )
    tags = sorted({tag for wheel in wheels for tag in wheel.tags})
    raise KitError(
        f"the bundle has no wheel of {name} for {python_tag()}; it has {', '.join(tags)}",
        fix=f"build the bundle with a target of {python_tag()}, or pin the notebook to a supported image",
    )


def _wheel_of(choice: Choice, entries: list[Entry]) -> Wheel | None:
    """The wheel whose requirements count: the one to install, else one that would run here."""
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
    """The file name installers insist on: {name}-{version}[-{build}]-{python}-{abi}-{platform}.whl.

    The bundle may have shipped the wheel under a name that Kaggle accepts; name, version and tags come from
    the manifest.
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
    pythons, abis, platforms = zip(*(tag.split("-", 2) for tag in entry.wheel.tags), strict=True)
    compressed = "-".join(".".join(dict.fromkeys(items)) for items in (pythons, abis, platforms))
    name = re.sub(r"[-_.]+", "_", entry.wheel.name)
    return f"{name}-{entry.wheel.version.replace('-', '_')}-{compressed}.whl"
