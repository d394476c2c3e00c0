"""Licences of the wheels: as SPDX expressions, and whether the wheels may be passed on.

Uploading a dataset is passing on copies, also when it is private: everyone in the team, and Kaggle, gets one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from kit.errors import KitError
from kit.manifest import Wheel

NOT_STATED = "not stated"
"""What stands for the licence of a wheel whose metadata name none."""
_NAMED: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "LicenseRef-BSD",
    "bsd license": "LicenseRef-BSD",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "freebsd": "BSD-2-Clause",
    "gnu affero general public license v3": "AGPL-3.0-only",
    "gnu general public license v2 (gplv2)": "GPL-2.0-only",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "gnu general public license v3 or later (gplv3+)": "GPL-3.0-or-later",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu library or lesser general public license (lgpl)": "LicenseRef-LGPL",
    "historical permission notice and disclaimer (hpnd)": "HPND",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit license (mit)": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "new bsd": "BSD-3-Clause",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zlib/libpng license": "Zlib",
    "zope public license": "ZPL-2.1",
}
"""Names of licences in older metadata, in small letters -> SPDX. "BSD License" names two or three texts that
differ in a clause, a "Lesser General Public License" without a version three; all of them allow copies, so
they share a name of our own."""
_SHORT: Mapping[str, str] = {
    "expat": "MIT",
    "bsd2": "BSD-2-Clause",
    "bsd2clause": "BSD-2-Clause",
    "2clausebsd": "BSD-2-Clause",
    "simplifiedbsd": "BSD-2-Clause",
    "bsd3": "BSD-3-Clause",
    "bsd3clause": "BSD-3-Clause",
    "3clausebsd": "BSD-3-Clause",
    "modifiedbsd": "BSD-3-Clause",
    "newbsd": "BSD-3-Clause",
    "apache2": "Apache-2.0",
    "apache2.0": "Apache-2.0",
    "asl2": "Apache-2.0",
    "asl2.0": "Apache-2.0",
    "mozillapublic2.0": "MPL-2.0",
    "mpl2": "MPL-2.0",
    "mpl2.0": "MPL-2.0",
    "lgpl3": "LGPL-3.0-only",
    "lgpl3+": "LGPL-3.0-or-later",
    "gpl3": "GPL-3.0-only",
    "gpl3+": "GPL-3.0-or-later",
    "agpl3": "AGPL-3.0-only",
}
"""Names of licences without blanks, signs and the words that `_FILLING` names -> SPDX: "BSD 3", "GPLv3"."""
_FILLING = re.compile(r"\b(?:the|licen[cs]e|software|version)\b|\bv(?=\d)|(?<=gpl|mpl)v(?=\d)|[^a-z0-9.+]")
_PASSED_ON = frozenset({"Permissive", "Public Domain", "Copyleft Limited", "Copyleft"})
"""Categories of the licence database of `license-expression` whose licences allow to pass on copies."""
_WITH_SOURCES = frozenset({"Copyleft"})
OWN_PREFIX = "LicenseRef-"
"""Begins a name that SPDX leaves to whoever writes the expression."""
OWN_MODEL = "LicenseRef-Own-Model"
"""Of the wheel of a model of one's own: its file is the user's, who alone decides who may have it."""
_OWN_NAMES: Mapping[str, str] = {
    "LicenseRef-BSD": "Permissive",
    "LicenseRef-LGPL": "Copyleft Limited",
    OWN_MODEL: "Permissive",
}

_UNSTATED = "its METADATA names no licence (no License-Expression, no classifier, no License)"
_OWN = (
    '. A package of your own names it in its pyproject.toml: license = "MIT" below [project]; a file LICENSE '
    "alone names none"
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is to be said of one distribution's licence.

    Attributes:
        level: "error": it may not be passed on, or nobody knows; "note": it may, under a condition.
        name: of the distribution.
        licence: as its metadata gives it.
        spdx: the SPDX expression; None if the text names no known licence.
        problem: one sentence.
    """

    level: Literal["error", "note"]
    name: str
    licence: str
    spdx: str | None
    problem: str


def spdx(text: str) -> str | None:
    """Return the SPDX expression of a licence's name in a wheel's metadata; None if it names no known one.

    "MIT License" gives "MIT", "mit or apache-2.0" gives "MIT OR Apache-2.0". Two classifiers, "BSD License,
    MIT License", give "LicenseRef-BSD AND MIT", which promises no more than either.
    """
    one = _single(text)
    if one is not None:
        return one
    parts = [_single(part) for part in re.split(r",\s*(?!version)", text)]
    if len(parts) < 2 or None in parts:
        return None
    joined = [f"({part})" if part and " " in part else str(part) for part in dict.fromkeys(parts)]
    return " AND ".join(joined)


def _single(text: str) -> str | None:
    name = " ".join(text.split())
    if known := _NAMED.get(name.lower().removeprefix("the ")) or _NAMED.get(name.lower()):
        return known
    try:
        return str(canonicalize_license_expression(name))
    except InvalidLicenseExpression:
        return _SHORT.get(_FILLING.sub("", name.lower()))


def check(wheels: Sequence[Wheel]) -> list[Finding]:
    """Return what is to be said of the licences of some wheels, one finding a distribution, errors first."""
    found: dict[str, Finding] = {}
    for wheel in wheels:
        licence = wheel.licence or NOT_STATED
        finding = _judge(wheel.name, licence, spdx(licence))
        if finding is not None:
            found.setdefault(wheel.name, finding)
    return sorted(found.values(), key=lambda finding: (finding.level, finding.name))


def _judge(name: str, licence: str, expression: str | None) -> Finding | None:
    finding = partial(Finding, name=name, licence=licence, spdx=expression)
    if licence == NOT_STATED:
        return finding(level="error", problem=_UNSTATED)
    if expression is None:
        return finding(level="error", problem=f"{licence!r} is no licence that is known")
    allowed, with_sources = _judged(_parsed(expression))
    if not allowed:
        problem = f"{expression} is not known to allow everybody to pass on copies"
        return finding(level="error", problem=problem)
    if with_sources:
        problem = f"{expression} asks you to offer the sources to whoever gets the dataset"
        return finding(level="note", problem=problem)
    return None


def require(wheels: Sequence[Wheel], *, accepted: Collection[str] = ()) -> list[Finding]:
    """Refuse wheels that may not be passed on.

    Args:
        wheels: of the bundle.
        accepted: normalised names of distributions whose licence the user has read and accepts.

    Returns:
        What is worth knowing of the others, and of those that were accepted.

    Raises:
        KitError: the licence of a wheel that is not accepted is unknown or forbids copies.
    """
    findings = check(wheels)
    refused = [item for item in findings if item.level == "error" and item.name not in accepted]
    if refused:
        listed = "; ".join(f"{item.name}: {item.problem}" for item in refused)
        options = " ".join(f"--accept-licence {item.name}" for item in refused)
        own = _OWN if any(item.licence == NOT_STATED for item in refused) else ""
        raise KitError(
            f"these wheels may not be uploaded as they are: {listed}",
            fix=f"read the licence; if it allows copies, repeat the command with {options}; "
            f"else leave the package out{own}",
        )
    return findings


@cache
def _categories() -> dict[str, str]:
    """Return SPDX identifier -> category, from the database of `license-expression`."""
    from license_expression import get_license_index  # reads a file of 1 MB, which --help does not need

    found = dict(_OWN_NAMES)
    for item in get_license_index():
        for key in [item.get("spdx_license_key"), *item.get("other_spdx_license_keys", ())]:
            if key and not item.get("is_exception"):
                found.setdefault(key, item.get("category") or "")
    return found


def _parsed(expression: str) -> Any:
    from license_expression import Licensing

    return Licensing().parse(expression, simple=True)


def _judged(node: Any) -> tuple[bool, bool]:
    """Return whether a parsed expression allows copies, and whether only with the offer of the sources.

    MIT OR GPL-3.0-only: the best choice counts. MPL-2.0 AND MIT: both have to hold. An exception (WITH) only
    adds permissions, so the licence alone decides.
    """
    operator = type(node).__name__
    if operator in {"AND", "OR"}:
        judged = [_judged(part) for part in node.args]
        if operator == "AND":
            return all(allowed for allowed, _ in judged), any(sources for _, sources in judged)
        return max(judged, key=lambda one: (one[0], not one[1]))
    licence = getattr(node, "license_symbol", node)
    category = _categories().get(str(licence.key).removesuffix("+"), "")
    return category in _PASSED_ON, category in _WITH_SOURCES
