"""What uv says when no versions fit, as an error that names who wants what. uv has no error codes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from packaging.utils import canonicalize_name

from bundle.requirements import stand_ins
from kit.errors import KitError
from kit.local.targets import Target

# It says: Because tool==1.0 has no wheels with a matching Python ABI tag (e.g., `cp313`) and ...
# Or: Because all versions of docopt have no usable wheels and ...
_VERSIONS = r"(?:[<>=!~]=?[^\s,]+(?:,[<>=!~]=?[^\s,]+)*)?"
_NAME = r"(?P<name>[A-Za-z0-9][\w.-]*?)"
_NO_WHEEL = re.compile(rf"{_NAME}{_VERSIONS} (?:has|have) no (?:usable )?wheels")
_NOT_FOUND = re.compile(rf"{_NAME}{_VERSIONS} was not found in the")
_DEPENDS = re.compile(
    rf"(?P<asker>[A-Za-z0-9][\w.-]*{_VERSIONS}) depends? on (?P<wanted>[a-z0-9-]+[<>=!~][^\s]*)"
)
# Because there is no version of six==99 and you require six==99, we can conclude that your ...
# Because only six[x]<=1.17.0 is available and you require six[x]>=99, we can conclude that your ...
_NO_RELEASE = re.compile(
    r"Because (?:there (?:is|are) no versions? of \S+|only .+? (?:is|are) available) and you require "
    rf"(?P<wanted>{_NAME}(?:\[[^\]]*\])?{_VERSIONS}), we can conclude that your requirements are"
)
_UNSOLVED = "No solution found"
_SHOWN = 5
_ADVICE = "or leave out this image: --target with the names of the others"


def plain(output: str) -> str:
    """Return uv's explanation as one line, without its headings."""
    text = output.replace(f"+{stand_ins.LOCAL}", "")
    text = re.sub(r"^\s*(error|cause|hint):", "", text, flags=re.MULTILINE)
    return " ".join(text.split())


def without_wheel(words: str) -> str | None:
    """Return the normalised name of a distribution that has no wheel; None if that is not the reason."""
    found = _NO_WHEEL.search(words)
    return str(canonicalize_name(found["name"])) if found else None


def complaint(
    words: str,
    target: Target,
    where: Mapping[str, str],
    *,
    released: Callable[[str], Sequence[str]] = lambda _: (),
) -> KitError:
    """Say who needs another version than the image has, or which requirements exclude each other.

    Args:
        words: of uv, from `plain`.
        target: the image.
        where: normalised name -> lines of the requirements file that ask for it.
        released: name -> versions that have a wheel for the image, newest first; empty if nobody knows.
    """
    if _UNSOLVED not in words:
        return KitError(
            f"uv cannot resolve for the image {target.name}: {words}",
            fix="check the index, the folders of wheels (PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf), the disk",
        )
    if missing := _NOT_FOUND.search(words):
        return KitError(
            f"no index has a distribution named {missing['name']}",
            where=where.get(canonicalize_name(missing["name"])),
            fix="correct its name; a source of your own goes to `--package`",
        )
    if absent := _NO_RELEASE.search(words):
        name = str(canonicalize_name(absent["name"]))
        known = released(name)
        more = " and older ones" if len(known) > _SHOWN else ""
        there = f": there are {', '.join(known[:_SHOWN])}{more}" if known else ", or its name"
        return KitError(
            f"no index has {absent['wanted']} for Python {target.minor}",
            where=where.get(name),
            fix=f"correct its version{there}",
        )
    has = {name: version.partition("+")[0] for name, version in stand_ins.pinned(target).items()}
    askers: dict[str, list[str]] = {}
    for found in _DEPENDS.finditer(words):
        wanted = found["wanted"].rstrip(",.")
        name = re.split(r"[<>=!~]", wanted)[0]
        if name in has and wanted != f"{name}=={has[name]}":
            askers.setdefault(name, []).append(f"{found['asker']} needs {wanted}")
    if askers:
        told = "; ".join(", ".join(dict.fromkeys(items)) for items in askers.values())
        kept = ", ".join(f"{name} {has[name]}" for name in askers)
        return KitError(
            f"{told}; the image {target.name} has {kept} and keeps it",
            fix=f"ask for another release of it, {_ADVICE}",
        )
    named = [
        lines for name, lines in where.items() if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", words)
    ]
    return KitError(
        f"no set of versions fits the image {target.name} (Python {target.python}): {words}",
        where=", ".join(named) or None,
        fix=f"loosen the requirement named above, {_ADVICE}",
    )
