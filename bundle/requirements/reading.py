"""Read a requirements file as pip does; what cannot become a wheel of a bundle gets an error that says why.

timm>=1.0.19                        # names with versions, extras and markers
scikit-learn[tests] ; python_version >= "3.12"
six==1.17.0 --hash=sha256:4721...
-r more.txt                         # paths are relative to the file's folder
-c upper-bounds.txt
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from bundle.foreign.source import without_user
from kit.errors import KitError

_COMMENT = re.compile(r"(^|\s+)#.*$")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_PACKAGE = "leave out the line and give its source as `--package DIR|SDIST|git+URL@COMMIT`"
_INDEX = "leave it out and tell pip: PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS or pip.conf"
_NEEDLESS = "leave it out; wheels come first, and what has none is built of its sources"
_FIXES = {
    **dict.fromkeys(("-e", "--editable"), _PACKAGE),
    **dict.fromkeys(
        ("-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "--no-index"), _INDEX
    ),
    "--trusted-host": _INDEX,
    **dict.fromkeys(("--no-binary", "--only-binary", "--prefer-binary"), _NEEDLESS),
    "--pre": "leave it out and write the pre-release's version: NAME==2.0rc1",
    "--require-hashes": "leave it out; hashes that are written are checked, and all others are recorded",
}
"""Options of pip that a line may begin with, and what to do in their place."""
_FILES = {"-r": "requirements", "--requirement": "requirements", "-c": "constraints"} | {
    "--constraint": "constraints"
}
_SOURCES = (".whl", ".tar.gz", ".tgz", ".zip")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # it begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a text begins with that says its encoding. Windows' shell writes `pip freeze > FILE` as UTF-16."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One requirement.

    Attributes:
        requirement: with its extras, versions and marker.
        hashes: hex sha256 of the files that are allowed; empty for all of the release.
        where: file and line: "requirements.txt:3".
    """

    requirement: Requirement
    hashes: tuple[str, ...] = ()
    where: str = ""

    @property
    def name(self) -> str:
        """The normalised name."""
        return canonicalize_name(self.requirement.name)

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Return whether its marker is true in an environment, or it has none."""
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))


@dataclass
class Wanted:
    """What a requirements file asks for, in the order of its lines.

    Attributes:
        requirements: what to ship.
        constraints: versions that hold where something is shipped.
    """

    requirements: list[Line] = field(default_factory=list)
    constraints: list[Line] = field(default_factory=list)


def read(path: Path) -> Wanted:
    """Return what a requirements file and the files that it names ask for.

    Raises:
        KitError: a file cannot be read, or a line cannot be part of a bundle; the message names the line.
    """
    wanted = Wanted()
    _read(_File(path, path.name, "--requirements"), wanted, wanted.requirements)
    return wanted


@dataclass(frozen=True)
class _File:
    """A file of requirements: its path, how it is called, who names it, and the files that lead to it."""

    path: Path
    shown: str
    where: str
    above: tuple[Path, ...] = ()


def _read(file: _File, wanted: Wanted, into: list[Line]) -> None:
    path, shown, where, above = file.path, file.shown, file.where, file.above
    if path.resolve() in [item.resolve() for item in above]:
        raise KitError(f"{shown} includes itself", where=where, fix="take out the line with -r or -c")
    try:
        data = path.read_bytes()
        encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
        text = data.decode(encoding)
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or error
        raise KitError(
            f"the requirements file {shown} cannot be read: {told}",
            where=where,
            fix="correct its path; it has to be a text in UTF-8",
        ) from error
    for number, statement in statements(text):
        place = f"{shown}:{number}"
        flag, value = _option(statement)
        if flag in _FILES:
            if not value:
                raise KitError(f"{flag} names no file", where=place, fix="write the file's path behind it")
            if "://" in value:
                fix = "download the file, and write its path here"
                raise KitError(f"{without_user(value)} is no file of this machine", where=place, fix=fix)
            more = path.parent / value
            target = wanted.constraints if _FILES[flag] == "constraints" else into
            # What is shown goes into the dataset, too: no path of this machine.
            name = value if not (Path(value).is_absolute() or ".." in Path(value).parts) else more.name
            _read(_File(more, name, place, (*above, path)), wanted, target)
        elif flag:
            shown_value = f"{flag} {value}".strip()
            fix = _FIXES.get(flag, "leave it out; only -r, -c and --hash are known here")
            raise KitError(f"{shown_value!r} is an option of pip", where=place, fix=fix)
        else:
            into.append(parse(statement, place))


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the statements of a requirements file with the number of their first line.

    Comments and empty lines are left out; a line that ends with a backslash goes on in the next one.
    """
    # As pip: "six \" and "==1.0  # why" are one statement, and a comment ends it.
    begun, parts = 0, []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        begun = begun or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment and number < len(lines):
            parts.append(line[:-1])
            continue
        parts.append(f" {line}" if comment else line.removesuffix("\\"))
        if statement := _COMMENT.sub("", "".join(parts)).strip():
            yield begun, statement
        begun, parts = 0, []


def _option(statement: str) -> tuple[str, str]:
    """Return the option that a statement begins with, and its value: "-rmore.txt" is "-r" and "more.txt"."""
    if not statement.startswith("-"):
        return "", ""
    if statement.startswith("--"):
        flag, _, value = statement.replace("=", " ", 1).partition(" ")
        return flag, value.strip()
    return statement[:2], statement[2:].lstrip(" =").strip()


def parse(statement: str, where: str) -> Line:
    """Return the requirement of one statement.

    Args:
        statement: without comments: "six==1.17.0 --hash=sha256:4721...".
        where: file and line.

    Raises:
        KitError: it is no requirement of an index: a path, an address, an unknown option, or unreadable.
    """
    text, hashes = _hashes(statement, where)
    if source := _source(text):
        problem = f"{source} is no name of an index"
        fix = _PACKAGE
        if source.endswith(".whl"):
            fix = "name the folder of the wheel in PIP_FIND_LINKS, and write NAME==VERSION in this line"
        raise KitError(problem, where=where, fix=fix)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        first = str(error).splitlines()[0]
        raise KitError(
            f"{text!r} is no requirement: {first}", where=where, fix='write it like "timm>=1.0,<2"'
        ) from error
    if requirement.url is not None:  # "six@six.whl": what stands behind @ may be anything
        raise KitError(f"{requirement.url} is no name of an index", where=where, fix=_PACKAGE)
    return Line(requirement=requirement, hashes=hashes, where=where)


def _hashes(statement: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement without its options, and the hashes among these."""
    text, *options = re.split(r"\s+(?=--[a-z])", statement)
    hashes = []
    for option in options:
        flag, _, value = option.replace("=", " ", 1).partition(" ")
        if flag != "--hash":
            raise KitError(f"{option!r} is not known here", where=where, fix="leave it out")
        if not _SHA256.fullmatch(value.strip()):
            raise KitError(
                f"the hash {value.strip()!r} is no sha256",
                where=where,
                fix="write --hash=sha256: and 64 hex digits, as `pip hash FILE` prints them",
            )
        hashes.append(value.strip().removeprefix("sha256:"))
    return text.strip(), tuple(sorted(set(hashes)))


def _source(text: str) -> str:
    """Return the address or path that a statement names; "" if it names a distribution of an index."""
    name, at, address = text.partition("@")
    if at and re.fullmatch(r"[\w.\-]+\s*(\[[^\]]*\])?\s*", name) and ("/" in address or ":" in address):
        return without_user(address.strip())  # "name @ https://..."
    head = (text.partition(";")[0].split() or [""])[0]
    if "://" in head or head.startswith((".", "/", "~", "git+")) or "/" in head or head.endswith(_SOURCES):
        return without_user(head)
    return ""
