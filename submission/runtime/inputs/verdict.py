"""Decides from an import check which distributions are at fault, and whether the bundle can replace them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kit.errors import KitError
from kit.manifest import Manifest
from submission.runtime.inputs.import_check import Failure, Result
from submission.runtime.inputs.versions import accepts, runs_here
from submission.runtime.inputs.wheels import Choice, is_protected, normalise, package_of, packages_of

_PLAIN = re.compile(r"\d+(\.\d+)+")


@dataclass
class Verdict:
    """What follows from an import check.

    Attributes:
        distrusted: distribution -> why the image's copy has to be replaced by the bundle's.
        lost: distribution -> why it cannot be used, and nothing can replace it.
        notes: failures that no distribution of the plan explains; the networks are tried all the same.
    """

    distrusted: dict[str, str] = field(default_factory=dict)
    lost: dict[str, KitError] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def judge(result: Result, choices: Collection[Choice], accepted: Mapping[str, str]) -> Verdict:
    """Return what follows from an import check.

    Args:
        result: of the import check.
        choices: the distributions in use.
        accepted: distribution -> versions that are accepted, for those the bundle has a wheel of.
    """
    verdict = Verdict()
    if result.problem is not None:
        verdict.notes.append(f"the packages could not be tried: {result.problem}")
    owners = _owners(choices) if result.failures else {}
    for failure in result.failures:
        # timm fails because its yaml does: blamed are yaml, then timm. If the bundle has no yaml, shipping
        # timm would not help, but if the blame was wrong, it does.
        culprits = [owners[name] for name in failure.blamed if name in owners]
        of_image = (choice for choice in culprits if choice.entry is None and choice.name in accepted)
        if (choice := next(of_image, None)) is not None:
            verdict.distrusted.setdefault(choice.name, _reason(failure, choice))
        elif culprits and not failure.hung:
            verdict.lost.setdefault(culprits[0].name, _error(failure, culprits[0]))
        else:
            verdict.notes.append(f"importing {failure.module}: {failure.problem}")
    for choice, version in _other_versions(result, choices, accepted):
        reason = f"its files are of version {version}, not {choice.installed}"
        verdict.distrusted.setdefault(choice.name, reason)
    return verdict


def shipped(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return the distributions that a bundle has for this Python, with the versions it accepts instead."""
    return {
        normalise(entry.wheel.name): entry.wheel.accepts
        for manifest in manifests
        for entry in manifest.files
        if entry.wheel is not None and any(runs_here(tag) for tag in entry.wheel.tags)
    }


def _owners(choices: Iterable[Choice]) -> dict[str, Choice]:
    owners: dict[str, Choice] = {}
    for choice in choices:
        if not is_protected(choice.name):
            for package in packages_of(choice.name):
                owners.setdefault(package, choice)
    # The name that a distribution is usually imported as wins over a folder that two of them share.
    owners.update({package_of(item.name): item for item in choices if not is_protected(item.name)})
    return owners


def _other_versions(
    result: Result, choices: Iterable[Choice], accepted: Mapping[str, str]
) -> Iterator[tuple[Choice, str]]:
    """Yield the image's copies that call themselves another version than their metadata, a refused one."""
    for choice in choices:
        version = result.versions.get(package_of(choice.name), "")
        if choice.entry is None and choice.name in accepted and _PLAIN.fullmatch(version):
            # cv2 calls itself 4.9.0, the metadata 4.9.0.80: these are the same.
            recorded = choice.installed or ""
            same = recorded == version or recorded.startswith((f"{version}.", f"{version}+"))
            if recorded and not same and not accepts(accepted[choice.name], version):
                yield choice, version


def _reason(failure: Failure, choice: Choice) -> str:
    what = package_of(choice.name)
    through = "" if failure.module.partition(".")[0] == what else f", seen when {failure.module} was imported"
    return f"{what} cannot be imported: {failure.problem}{through}"


def _error(failure: Failure, choice: Choice) -> KitError:
    if choice.entry is None:
        return KitError(
            f"the image's {choice.name} {choice.installed} fails: {_reason(failure, choice)}",
            fix=f"build the bundle with a wheel of {choice.name}: it has none for this Python",
        )
    return KitError(
        f"the bundle's {choice.entry.name} does not work in this image: {_reason(failure, choice)}",
        fix="rehearse with the packages of this image, and lock a version that works there",
    )
