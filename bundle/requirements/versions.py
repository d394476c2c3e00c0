"""Choose versions for all images: the same on images of one Python, and elsewhere as far as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from packaging.version import Version

from bundle.foreign.wheels import ForeignWheel
from bundle.requirements import sdists
from bundle.requirements.reading import Wanted
from bundle.requirements.resolving import (
    Answer,
    NoWheel,
    Problem,
    WithSources,
    check_lines,
    resolve,
    with_sources,
)
from bundle.wheel_versions import with_wheel
from bundle.wheelinfo import WheelInfo
from kit.errors import KitError
from kit.local.console import console
from kit.local.lockfile import Pin
from kit.local.targets import Target
from kit.local.wording import counted

_ROUNDS = 3
"""Times that the images of one Python are resolved; each starts from what the former one chose."""
_MOST_SOURCES = 20


@dataclass(frozen=True)
class Chosen:
    """What was chosen.

    Attributes:
        pins: name of a target -> its pins.
        built: name of a target -> name -> wheel of ours.
        of_sources: wheels that were built because an index has only sources of them.
    """

    pins: dict[str, list[Pin]]
    built: dict[str, dict[str, WheelInfo]]
    of_sources: list[ForeignWheel]


def choose(
    wanted: Wanted,
    images: Sequence[Target],
    *,
    packages: Sequence[ForeignWheel],
    own: Mapping[str, WheelInfo],
    cache: Path,
    work: Path,
) -> Chosen:
    """Choose versions for all images; build what an index has only as sources.

    Args:
        wanted: the requirements file.
        images: the targets.
        packages: wheels of the user's own sources; they are shipped.
        own: name -> wheel that the kit builds itself, e.g. mmcv-full; shipped if it is asked for.
        cache: folder of downloads.
        work: folder for uv's input and output.

    Raises:
        KitError: no versions fit some images, or a distribution has neither wheel nor usable source there.
    """
    roots = [item.name for item in packages]
    problems = {
        target.name: Problem(
            target=target,
            wanted=wanted,
            built=dict(own) | {item.name: item.by_target[target.name] for item in packages},
            roots=roots,
        )
        for target in images
    }
    for problem in problems.values():
        check_lines(problem)
    job = _Work(problems, cache, work)
    job.build_needed()
    for _ in range(_MOST_SOURCES):
        answers, lacking = job.resolve_all()
        if not lacking:
            break
        job.build_all_lacking(lacking)
    else:
        raise KitError(
            f"more than {_MOST_SOURCES} distributions have no wheels",
            fix="ask for less, or build their wheels and name their folder in PIP_FIND_LINKS",
        )
    job.tell_held_back(answers)
    return Chosen(
        pins={name: answer.pins for name, answer in answers.items()},
        built={name: dict(problem.built) for name, problem in problems.items()},
        of_sources=job.of_sources,
    )


class _Work:
    """The versions of all images on their way.

    Args:
        problems: name of a target -> its problem; wheels that are built are added to it.
        cache: folder of downloads.
        folder: for uv's input and output.

    Attributes:
        of_sources: wheels that were built because an index has only sources of them.
    """

    def __init__(self, problems: dict[str, Problem], cache: Path, folder: Path) -> None:
        self.problems, self._cache, self._folder = problems, cache, folder
        self.of_sources: list[ForeignWheel] = []
        self._free: dict[str, WithSources] = {}

    def resolve_all(self) -> tuple[dict[str, Answer], dict[str, dict[str, NoWheel]]]:
        """Resolve for all images; return the answers, and distribution -> target -> that it has no wheel."""
        answers: dict[str, Answer] = {}
        lacking: dict[str, dict[str, NoWheel]] = {}
        preferred = ""
        # Oldest Python first: a version that it takes is mostly good for the newer ones, so that all share
        # the wheels that are not compiled.
        ordered = sorted(
            self.problems.values(), key=lambda item: (int(item.target.tag[3:]), item.target.name)
        )
        for tag, group in groupby(ordered, key=lambda item: item.target.tag):
            of_tag, preferred = self._resolve_python(tag, list(group), preferred, lacking)
            answers |= of_tag
        return answers, lacking

    def _resolve_python(
        self, tag: str, group: Sequence[Problem], preferred: str, lacking: dict[str, dict[str, NoWheel]]
    ) -> tuple[dict[str, Answer], str]:
        """Resolve for the images of one Python until all have the same versions; note what has no wheel."""
        # A bundle has one wheel of a distribution for each Python. Each image gets the versions of the former
        # one, if they fit. Where they do not, the next round takes, or at least prefers, the oldest:
        #     image a has torch 2.10    tool 1.0, since 2.0 needs torch 2.11
        #     image b does not say      tool 2.0 at first; with 1.0 preferred it is content
        for _ in range(_ROUNDS):
            answers: dict[str, Answer] = {}
            known: dict[str, Answer | NoWheel] = {}
            for problem in group:
                key = problem.key()  # images that differ in their GPUs only have one answer
                if key not in known:
                    console().print(f"{problem.target.name}: choosing versions ...", markup=False)
                    known[key] = resolve(problem, self._folder / problem.target.name, preferred=preferred)
                found = known[key]
                if isinstance(found, NoWheel):
                    lacking.setdefault(found.name, {})[problem.target.name] = found
                else:
                    answers[problem.target.name], preferred = found, found.preferences
            if len(answers) < len(group) or not (other := _other_versions(answers)):
                return answers, preferred
            preferred = _oldest(answers)
        raise KitError(
            f"the images of {tag} need different versions: {other}",
            fix="a bundle has one version for each Python: leave out one of these images "
            "(--target with the names of the others)",
        )

    def build_needed(self) -> None:
        """Build wheels of distributions that have never had one: an index has only their sources."""
        pins: dict[Pin, list[str]] = {}
        # One image of each Python says it for all: whether there are wheels depends on the Python.
        for tag in sorted({problem.target.tag for problem in self.problems.values()}):
            targets = [target for target, problem in self.problems.items() if problem.target.tag == tag]
            first = self.problems[targets[0]]
            free = self._free[targets[0]] = with_sources(first, self._folder / targets[0])
            for name, pin in free.lacking.items():
                if not with_wheel(name, first.target):
                    pins.setdefault(pin, []).extend(targets)
        for pin, needing in pins.items():
            works = [target for target in self.problems if target not in needing]
            try:
                self._build(pin, needing)
            except KitError as error:
                raise _nowhere(pin.name, needing, works, error) from error

    def build_all_lacking(self, lacking: Mapping[str, Mapping[str, NoWheel]]) -> None:
        """Build the wheels of several releases; those that cannot be built are told together."""
        errors = []
        for name, where in lacking.items():
            try:
                self.build_lacking(name, where)
            except KitError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            told = "\n".join(f"  - {error.problem}" for error in errors)
            nowhere = {target for where in lacking.values() for target in where}
            works = " ".join(f"--target {target}" for target in self.problems if target not in nowhere)
            fix = "ask for other releases, or give their sources with `--package`"
            raise KitError(
                f"{counted(len(errors), 'distribution')} without wheels for some images:\n{told}",
                fix=f"leave out the images without them: {works}; or {fix}" if works else fix,
            )

    def build_lacking(self, name: str, where: Mapping[str, NoWheel]) -> None:
        """Build the wheel of a release that has none for some images, though other releases may have one."""
        works = [target for target in self.problems if target not in where]
        pins: dict[Pin, list[str]] = {}
        for target, found in where.items():
            pin = with_sources(self.problems[target], self._folder / target).lacking.get(name)
            if pin is None:
                raise _nowhere(name, list(where), works, KitError(found.text))
            pins.setdefault(pin, []).append(target)
        for pin, needing in pins.items():
            try:
                self._build(pin, needing)
            except KitError as error:
                raise _nowhere(name, list(where), works, error) from error

    def tell_held_back(self, answers: Mapping[str, Answer]) -> None:
        """Say which lines of the file got an old release because a newer one needs what has no wheel."""
        first: dict[str, str] | None = None
        for target, free in self._free.items():
            got = answers[target].versions
            # Later Pythons prefer what the first one has; only what is older still is held back by wheels.
            limits = [free.versions, *([first] if first is not None else [])]
            first = got if first is None else first
            lacking = [
                f"{pin.name} {pin.version}"
                for name, pin in free.lacking.items()
                if got.get(name) != pin.version
            ]
            asked = {line.name for line in self.problems[target].lines()} - {*free.lacking}
            old = {
                name: free.versions[name]
                for name in sorted(asked)
                if all(_is_older(name, got, versions) for versions in limits)
            }
            if not lacking or not old:
                continue
            shipped = ", ".join(f"{name} {got[name]}" for name in old)
            newest = ", ".join(f"{name} {version}" for name, version in old.items())
            wanted = ", ".join(f"{name}>={version}" for name, version in old.items())
            told = (
                f"{target}: with wheels alone you get {shipped} and not {newest}, which needs "
                f"{', '.join(lacking)}, of which there are sources only; write {wanted} into the file, "
                "and they are built"
            )
            console().print(told, style="yellow", markup=False)

    def _build(self, pin: Pin, needing: Sequence[str]) -> None:
        told = f"{pin.name} {pin.version} has no wheel for {', '.join(needing)}: its sources are built"
        console().print(told, markup=False, soft_wrap=True)
        made = sdists.built(pin, [self.problems[target].target for target in needing], self._cache)
        self.of_sources.append(made)
        for target in needing:
            problem = self.problems[target]
            wheels = {**problem.built, pin.name: made.by_target[target]}
            self.problems[target] = replace(problem, built=wheels)


def _is_older(name: str, got: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return name in got and bool(other.get(name)) and Version(got[name]) < Version(other[name])


def _oldest(answers: Mapping[str, Answer]) -> str:
    """Return preferences with the oldest of the versions that some images got."""
    found: dict[str, list[Version]] = {}
    for answer in answers.values():
        for name, version in answer.versions.items():
            found.setdefault(name, []).append(Version(version))
    return "".join(f"{name}=={min(versions)}\n" for name, versions in sorted(found.items()))


def _other_versions(answers: Mapping[str, Answer]) -> str:
    """Say which distributions have several versions: "scipy 1.15 (kaggle-a), 1.16 (kaggle-b)"; "" if none."""
    found: dict[str, dict[str, list[str]]] = {}
    for target, answer in answers.items():
        for name, version in answer.versions.items():
            found.setdefault(name, {}).setdefault(version, []).append(target)
    return "; ".join(
        f"{name} " + ", ".join(f"{version} ({', '.join(targets)})" for version, targets in versions.items())
        for name, versions in sorted(found.items())
        if len(versions) > 1
    )


def _nowhere(name: str, where: Sequence[str], works: Sequence[str], error: KitError) -> KitError:
    """The error for a distribution that has neither wheel nor usable source on some images."""
    good = f"; it works on {', '.join(works)}" if works else ""
    fix = "ask for another release, or give its source with `--package`"
    if works:
        options = " ".join(f"--target {target}" for target in works)
        fix = f"leave out the images without it: {options}; or {fix}"
    return KitError(
        f"{name} has no wheel for {', '.join(where)}, and none can be built{good}: {error.problem}",
        where=error.where,
        fix=fix,
    )
