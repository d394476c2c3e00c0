"""The project's own lines of requirements: what each is for, under which licence, and its last release.

A line of requirements.in says its reason in a comment behind it. Licences are those that the installed
packages tell. The last release of each line's package is asked of the package index by `python -m documents
write --releases` and kept in documents/releases.json, so that the page can be made, and held by a test,
without a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bundle import licences, wheelinfo
from documents.licences_page import licence_in_words
from documents.markdown import GENERATED, cell, code, introduction, table
from kit.artefacts import read_json, write_json
from kit.errors import KitError

FILES = ("requirements.in", "requirements-bench.in", "requirements-docs.in")
RELEASES = "releases.json"
_LINE = re.compile(r"(?P<what>[^#\s][^#]*?)\s*(?:#\s*(?P<why>.*))?")
_FOR = {
    "requirements.in": "The local side",
    "requirements-bench.in": "Peers of the benchmarks",
    "requirements-docs.in": "These pages",
}


@dataclass(frozen=True)
class Line:
    """One line of a requirements file.

    Attributes:
        file: its name.
        name: of the distribution, normalised.
        wanted: the versions that the line accepts; "" for any.
        group: the comment above it.
        why: the comment behind it.
    """

    file: str
    name: str
    wanted: str
    group: str
    why: str


def lines(root: Path) -> list[Line]:
    """Return the lines of all requirements files, in their order.

    Raises:
        KitError: a line says no reason.
    """
    found = []
    for file in FILES:
        group = ""
        for text in (root / file).read_text(encoding="utf-8").splitlines():
            if text.startswith("#"):
                group = text.removeprefix("#").strip()
            elif match := _LINE.fullmatch(text.strip()):
                asked = Requirement(match["what"])
                if not match["why"]:
                    raise KitError(
                        f"{asked.name} has no reason",
                        where=root / file,
                        fix="write behind the line what it is for: `name  # reads slides`",
                    )
                name = canonicalize_name(asked.name)
                found.append(Line(file, name, str(asked.specifier), group, match["why"].strip()))
    return found


def licence(line: Line) -> str:
    """Return a package's licence: the one its line names first ("MIT; ..."), else the installed package's.

    Raises:
        KitError: it is not installed, and its line names none.
    """
    named, separator, _ = line.why.partition(";")
    if separator and licences.spdx(named) == named:
        return named
    try:
        headers: Any = metadata.metadata(line.name)
    except metadata.PackageNotFoundError as error:
        raise KitError(
            f"{line.name} is not installed here, so its licence is not known",
            where=line.file,
            fix="begin its reason with the licence: `name  # MIT; reads slides`",
        ) from error
    return licence_in_words(wheelinfo.licence(headers))


def page(root: Path) -> str:
    """Return the text of docs/dependencies.md.

    Raises:
        KitError: a line has no reason, its package is not installed, or its last release was not looked up.
    """
    known = read_json(root / "documents" / RELEASES)
    listed = lines(root)
    parts = [introduction(root, "dependencies")]
    for file in FILES:
        rows = []
        for line in (item for item in listed if item.file == file):
            if line.name not in known["packages"]:
                raise KitError(
                    f"nobody looked at the last release of {line.name}",
                    where=root / "documents" / RELEASES,
                    fix="run `python -m documents write --releases`; it asks the package index",
                )
            told = known["packages"][line.name]
            last = f"{told['version']}, {told['date']}"
            why = line.why.removeprefix(f"{licence(line)};").strip()
            rows.append((code(line.name + line.wanted), cell(why), cell(licence(line)), last))
        parts.append(f"\n## {_FOR[file]}: `{file}`\n\n")
        parts.append(table(("package", "for", "licence", "last release"), rows))
    parts.append(f"\nThe index was asked on {known['asked']}. {GENERATED}\n")
    return "".join(parts)


def ask(root: Path) -> None:
    """Ask the package index that pip is configured with for the last release of each line's package.

    Writes documents/releases.json.

    Raises:
        KitError: the index does not answer, or does not know a package.
    """
    from documents.index import last_releases

    packages = last_releases(sorted({line.name for line in lines(root)}))
    today = datetime.now(tz=UTC).date().isoformat()
    write_json(root / "documents" / RELEASES, {"asked": today, "packages": packages})
