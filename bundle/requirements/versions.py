"""Choose versions for all images: the same on images of one Python, and elsewhere as far as possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle.foreign.wheels import ForeignWheel
from bundle.requirements import sdists
from bundle.requirements.reading import Wanted
from bundle.requirements.resolving import Answer, NoWheel, Problem, check_lines, resolve
from bundle.wheelinfo import WheelInfo
from kit.errors import KitError
from kit.local.console import console
from kit.local.lockfile import Pin
from kit.local.targets import Target

_ROUNDS = 3
"""Times that the images of one Python are resolved; each starts from what the former one chose."""
_MOST_SOURCES = 20


@dataclass
class Chosen:
    """What was chosen.

    Attributes:
        pins: name of a target -> its pins.
        built: name of a target -> name -> wheel of ours.
        of_sources: wheels that were built because an index has only sources of them.
    """

    pins: dict[str, list[Pin]] = field(default_factory=dict)
    built: dict[str, dict[str, WheelInfo]] = field(default_factory=dict)
    of_sources: list[ForeignWheel] = field(default_factory=list)


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
    chosen = Chosen()
    for _ in range(_MOST_SOURCES):
        answers, lacking = _round(problems, work)
        if not lacking:
            break
        _build_lacking(lacking, problems, chosen, cache, work)
    else:
        raise KitError(
            f"more than {_MOST_SOURCES} distributions have no wheels",
            fix="ask for less, or build their wheels and name their folder in PIP_FIND_LINKS",
        )
    chosen.pins = {name: answer.pins for name, answer in answers.items()}
    chosen.built = {name: dict(problem.built) for name, problem in problems.items()}
    return chosen


def _round(
    problems: Mapping[str, Problem], work: Path
) -> tuple[dict[str, Answer], dict[str, dict[str, NoWheel]]]:
    """Resolve for all images; return the answers, and distribution -> target -> that it has no wheel."""
    answers: dict[str, Answer] = {}
    lacking: dict[str, dict[str, NoWheel]] = {}
    preferred = ""
    # Oldest Python first: a version that it takes is mostly good for the newer ones, so that all share the
    # wheels that are not compiled.
    tags: dict[str, list[Problem]] = {}
    for problem in sorted(problems.values(), key=lambda item: (int(item.target.tag[3:]), item.target.name)):
        tags.setdefault(problem.target.tag, []).append(problem)
    for tag, group in tags.items():
        for number in range(_ROUNDS):
            of_tag: dict[str, Answer] = {}
            for problem in group:
                found = resolve(problem, work / problem.target.name, preferred=preferred)
                if isinstance(found, NoWheel):
                    lacking.setdefault(found.name, {})[problem.target.name] = found
                else:
                    of_tag[problem.target.name] = found
                    preferred = found.text
            if len(of_tag) < len(group) or not (other := _other_versions(of_tag)):
                break
            if number == _ROUNDS - 1:
                raise KitError(
                    f"the images of {tag} need different versions: {other}",
                    fix="a bundle can have one version for each Python: leave out one of these images "
                    "(--target with the names of the others)",
                )
        answers |= of_tag
    return answers, lacking


def _other_versions(answers: Mapping[str, Answer]) -> str:
    """Say which distributions have several versions, e.g. "scipy 1.15 (kaggle-a), 1.16 (kaggle-b)"; "" if none."""
    found: dict[str, dict[str, list[str]]] = {}
    for target, answer in answers.items():
        for name, version in answer.versions.items():
            found.setdefault(name, {}).setdefault(version, []).append(target)
    return "; ".join(
        f"{name} " + ", ".join(f"{version} ({', '.join(targets)})" for version, targets in versions.items())
        for name, versions in sorted(found.items())
        if len(versions) > 1
    )


def _build_lacking(
    lacking: Mapping[str, Mapping[str, NoWheel]],
    problems: dict[str, Problem],
    chosen: Chosen,
    cache: Path,
    work: Path,
) -> None:
    """Build wheels of the sources of distributions that have none, and put them into the problems."""
    for name, where in lacking.items():
        works = [target for target in problems if target not in where]
        pins: dict[str, Pin] = {}
        for target in where:
            # With sources allowed, uv says which release it would take.
            found = resolve(problems[target], work / target, wheels_only=False)
            pin = None
            if isinstance(found, Answer):
                pin = next((pin for pin in found.pins if canonicalize_name(pin.name) == name), None)
            if pin is None:
                raise _nowhere(name, where, works)
            pins[target] = pin
        for pin in dict.fromkeys(pins.values()):
            needing = [problems[target].target for target in where if pins[target] == pin]
            told = ", ".join(target.name for target in needing)
            console().print(f"{name} {pin.version} has no wheel for {told}", markup=False, soft_wrap=True)
            try:
                made = sdists.built(pin, needing, cache)
            except KitError as error:
                raise _nowhere(name, where, works, error) from error
            chosen.of_sources.append(made)
            for target in needing:
                problem = problems[target.name]
                problems[target.name] = replace(
                    problem, built={**problem.built, name: made.by_target[target.name]}
                )


def _nowhere(
    name: str, where: Mapping[str, NoWheel], works: Sequence[str], error: KitError | None = None
) -> KitError:
    """The error for a distribution that has neither wheel nor usable source on some images."""
    good = f"; it works on {', '.join(works)}" if works else "; no other image was asked for that has one"
    reason = f":\n{error.problem}" if error is not None else f" ({next(iter(where.values())).text})"
    fix = "ask for another release, or give its source with `--package`"
    if works:
        options = " ".join(f"--target {target}" for target in works)
        fix = f"leave out the images without it: {options}; or {fix}"
    return KitError(
        f"{name} has no wheel for {', '.join(where)}, and none can be built{reason}{good}",
        where=error.where if error is not None else None,
        fix=fix,
    )
