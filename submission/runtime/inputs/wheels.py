"""Decides which of the bundle's wheels this image needs, and why."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from kit.errors import KitError
from kit.manifest import Entry, Manifest, Wheel
from submission.runtime.inputs.versions import accepts, python_tag, runs_here

PROTECTED = frozenset({"torch", "torchvision", "numpy", "triton"})
"""Never installed and never replaced: a torch that is replaced in part does not import."""

SAME_MODULE = {
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless"),
}
"""Distributions with the same module under another name. Two of them in one environment break each other."""

_PACKAGES = {
    "attrs": "attr",
    "fonttools": "fontTools",
    "mmcv-full": "mmcv",
    "mmsegmentation": "mmseg",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "python-dateutil": "dateutil",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
"""Packages whose distribution has another name, for metadata that does not say it."""


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
    return next(iter(recorded_versions(name, path)), None)


def recorded_versions(name: str, path: Sequence[str] | None = None) -> list[str]:
    """Return the versions that metadata names; several, if an upgrade left old metadata beside the new."""
    # An import takes the first folder of the path that has the package, so later folders do not count. A
    # folder without a version in it is what a removal left over. The current folder, "", counts for this
    # process and not for the workers.
    places = [entry for entry in sys.path if Path(entry).is_absolute()] if path is None else list(path)
    first, versions = None, []
    for distribution in importlib.metadata.distributions(name=name, path=places):
        try:
            version = distribution.version
        except Exception:  # noqa: BLE001, S112 - newer Pythons raise where older ones return None
            continue
        place = str(distribution.locate_file(""))
        if version and place == (first or place):
            first = place
            versions.append(str(version))
    return list(dict.fromkeys(versions))


def packages_of(name: str) -> set[str]:
    """Return the packages that a distribution may install, as `import` names them."""
    found = {package_of(name)}
    places = [entry for entry in sys.path if Path(entry).is_absolute()]
    for each in (name, *SAME_MODULE.get(name, ())):
        for distribution in importlib.metadata.distributions(name=each, path=places):
            found.update((distribution.read_text("top_level.txt") or "").split())
            found.update(file.parts[0].partition(".")[0] for file in distribution.files or ())
    return {item for item in found if item.isidentifier()}


def package_of(name: str) -> str:
    """Return the package that a distribution is imported as."""
    return _PACKAGES.get(name, name.replace("-", "_"))


def choose(
    manifests: Iterable[Manifest], roots: Iterable[str], distrusted: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[Choice], dict[str, KitError]]:
    """Decide about everything that some distributions need, directly or through others.

    Args:
        manifests: of all datasets.
        roots: distributions that the networks need.
        distrusted: distribution -> why the image's copy cannot be used.

    Returns:
        The choices in the order in which they were reached, and distribution -> why it is not available.
    """
    wheels: dict[str, list[Entry]] = {}
    for manifest in manifests:
        for entry in manifest.files:
            if entry.wheel is not None:
                wheels.setdefault(normalise(entry.wheel.name), []).append(entry)
    # What was chosen for this Python comes before another release, and what is compiled before what runs
    # everywhere.
    for entries in wheels.values():
        entries.sort(key=_rank)
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
            choices[name] = _choose_one(name, wheels.get(name, []), distrusted.get(name))
        except KitError as error:
            errors[name] = error
            continue
        wheel = _wheel_of(choices[name], wheels.get(name, []))
        if wheel is not None:
            waiting += [normalise(item) for item in wheel.requires.get(python_tag(), [])]
    return list(choices.values()), errors


def _rank(entry: Entry) -> tuple[bool, bool]:
    return python_tag() not in (entry.wheel.requires if entry.wheel else ()), entry.name.endswith("-any.whl")


def _choose_one(name: str, entries: list[Entry], fault: str | None) -> Choice:
    # In this order: the image's own; the same module under another name; a copy that is good enough; our
    # wheel; the image's only copy, though old metadata beside it makes its version doubtful.
    recorded = recorded_versions(name)
    installed = " and ".join(recorded) or None
    wheels = [entry.wheel for entry in entries if entry.wheel is not None]
    wanted = wheels[0].accepts if wheels else ""
    if is_protected(name):
        if installed is None:
            raise KitError(
                f"this image has no {name}, and {name} is never shipped",
                fix="use a Kaggle image with torch, or install it in this environment",
            )
        return Choice(name, installed, None, "belongs to the image")
    if fault is None and (kept := _of_the_image(name, recorded, wanted)) is not None:
        return kept
    for entry in entries:
        if entry.wheel is not None and any(runs_here(tag) for tag in entry.wheel.tags):
            return Choice(name, installed, entry, _why_ours(installed, wanted, fault))
    if fault is None and any(accepts(wanted, version) for version in recorded):
        return Choice(name, installed, None, f"the image has {installed}, and the bundle no wheel that fits")
    raise _unavailable(name, wheels, fault)


def _of_the_image(name: str, recorded: Sequence[str], wanted: str) -> Choice | None:
    """Return the choice of the image's copy, None if it has none that is accepted."""
    for other in SAME_MODULE.get(name, ()) if not recorded else ():
        if (version := installed_version(other)) is not None:
            return Choice(name, version, None, f"the image has {other} {version}, the same module")
    if recorded and all(accepts(wanted, version) for version in recorded):
        installed = " and ".join(recorded)
        more = f", {wanted} accepted" if wanted else ""
        return Choice(name, installed, None, f"the image has {installed}{more}")
    return None


def _why_ours(installed: str | None, wanted: str, fault: str | None) -> str:
    if fault is not None:
        return f"the image's copy is not used: {fault}"
    return "missing in the image" if installed is None else f"the image has {installed}, needed is {wanted}"


def _unavailable(name: str, wheels: Sequence[Wheel], fault: str | None) -> KitError:
    if fault is not None:
        return KitError(
            f"the image's {name} cannot be used: {fault}",
            fix=f"build the bundle with a wheel of {name} for {python_tag()}",
        )
    if not wheels:
        return KitError(
            f"{name} is neither in this image nor in the bundle",
            fix="build the bundle again for this ensemble",
        )
    tags = sorted({tag for wheel in wheels for tag in wheel.tags})
    return KitError(
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
