"""Versions, version specifiers and wheel tags, as far as an offline installer needs them.

The image may lack `packaging`, and the decision what to install comes before anything is installed.
"""

from __future__ import annotations

import platform
import re
import sys
from dataclasses import dataclass
from functools import total_ordering

from kit.errors import KitError

_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre_number>\d*))?"
    r"(?:(?:[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d*))|-(?P<post_bare>\d+))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?"
    r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?",
    re.IGNORECASE,
)
_PRE = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_CLAUSE = re.compile(r"(~=|===|==|!=|<=|>=|<|>)\s*(\S+)")


@total_ordering
@dataclass(frozen=True)
class Version:
    """A PEP 440 version that compares as that document says.

    Attributes:
        text: as given.
        release: numbers without trailing zeros.
        public: sort key without the local part.
        local: sort key of the local part, empty without one.
    """

    text: str
    release: tuple[int, ...]
    public: tuple[object, ...]
    local: tuple[tuple[int, int, str], ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.public, self.local) == (other.public, other.local)

    def __lt__(self, other: Version) -> bool:
        return (self.public, self.local) < (other.public, other.local)

    def __hash__(self) -> int:
        return hash((self.public, self.local))

    @property
    def is_pre(self) -> bool:
        """True for alpha, beta, candidate and development releases."""
        return self.public[2] != (3, 0) or self.public[4] != (1, 0)

    @property
    def is_post(self) -> bool:
        """True for post releases."""
        return self.public[3] != (0, 0)


def parse_version(text: str) -> Version:
    """Parse a PEP 440 version.

    Raises:
        KitError: it is none.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise KitError(f"{text!r} is not a version number")
    release = tuple(int(part) for part in match["release"].split("."))
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    dev = (0, int(match["dev_number"] or 0)) if match["dev"] else (1, 0)
    post = (
        (1, int(match["post_number"] or match["post_bare"] or 0))
        if match["post"] or match["post_bare"]
        else (0, 0)
    )
    if match["pre"]:
        pre = (_PRE[match["pre"].lower()], int(match["pre_number"] or 0))
    else:
        # 1.0.dev1 comes before 1.0a1; 1.0 and its posts after every candidate.
        pre = (-1, 0) if match["dev"] and post == (0, 0) else (3, 0)
    local = tuple(
        (1, int(part), "") if part.isdigit() else (0, 0, part.lower())
        for part in re.split(r"[-_.]", match["local"] or "")
        if part
    )
    return Version(text, release, (int(match["epoch"] or 0), release, pre, post, dev), local)


def accepts(specifier: str, version: str) -> bool:
    """Whether an installed version meets a specifier like ">=1.2,<2" ("" = any).

    An installed pre-release is judged by its number alone, as pip does; a version that cannot be parsed meets
    none but the empty specifier.

    Raises:
        KitError: the specifier is malformed.
    """
    if not specifier.strip():
        return True
    clauses = []
    for part in specifier.split(","):
        match = _CLAUSE.fullmatch(part.strip())
        if match is None:
            raise KitError(f"{part.strip()!r} is not a version specifier")
        clauses.append((match[1], match[2]))
    try:
        candidate = parse_version(version)
    except KitError:
        return False
    return all(_meets(operator, operand, candidate) for operator, operand in clauses)


def _meets(operator: str, operand: str, candidate: Version) -> bool:
    if operator == "===":
        return candidate.text.lower() == operand.lower()
    if operand.endswith(".*"):
        return _prefix(operand.removesuffix(".*"), candidate) == (operator == "==")
    return _compares(operator, operand, candidate)


def _compares(operator: str, operand: str, candidate: Version) -> bool:
    wanted = parse_version(operand)
    if operator == "~=":
        series = re.match(r"\D*((?:\d+!)?\d+(?:\.\d+)*)", operand)
        assert series is not None
        return candidate.public >= wanted.public and _prefix(series[1].rpartition(".")[0], candidate)
    if operator in {"==", "!="}:
        # A local part counts only if the specifier has one: 2.11+cu128 is 2.11.
        same = candidate == wanted if wanted.local else candidate.public == wanted.public
        return same == (operator == "==")
    if operator in {"<=", ">="}:
        low, high = (candidate, wanted) if operator == "<=" else (wanted, candidate)
        return low.public <= high.public
    # "<2" leaves out 2rc1 and ">2" leaves out 2.post1, although those are smaller and larger.
    if operator == "<":
        bound = wanted if wanted.is_pre else parse_version(operand.partition("+")[0] + ".dev0")
        return candidate.public < bound.public
    after = candidate.is_post and not wanted.is_post and candidate.public[:3] == wanted.public[:3]
    return candidate.public > wanted.public and not after


def _prefix(series: str, candidate: Version) -> bool:
    epoch, _, numbers = series.rpartition("!")
    wanted = tuple(int(part) for part in numbers.split("."))
    padded = candidate.release + (0,) * len(wanted)
    return candidate.public[0] == int(epoch or 0) and padded[: len(wanted)] == wanted


def python_tag(version: tuple[int, int] | None = None) -> str:
    """Tag of an interpreter, this one by default: "cp313"."""
    major, minor = version or sys.version_info[:2]
    return f"cp{major}{minor}"


def runs_here(tag: str) -> bool:
    """Whether a wheel tag, e.g. "cp313-cp313-manylinux_2_28_x86_64", fits this interpreter and machine."""
    python, _, rest = tag.partition("-")
    abi, _, where = rest.partition("-")
    return _python_fits(python, abi) and _platform_fits(where)


def _python_fits(python: str, abi: str) -> bool:
    match = re.fullmatch(r"(cp|py)(\d)(\d*)", python)
    if match is None or int(match[2]) != sys.version_info[0]:
        return False
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
    name = {
        "manylinux1": "manylinux_2_5",
        "manylinux2010": "manylinux_2_12",
        "manylinux2014": "manylinux_2_17",
    }.get(name, name)
    if name == "linux":
        return True
    match = re.fullmatch(r"manylinux_(\d+)_(\d+)", name)
    library, found = platform.libc_ver()
    if match is None or library != "glibc":
        return False
    return (int(match[1]), int(match[2])) <= tuple(int(part) for part in found.split(".")[:2])
