"""Read `foreign.in`: one source a line, written as in a requirements file.

    # what our ensemble needs and no index has
    ./my_models
    dist/foo-1.2.tar.gz
    git+https://host/repo.git@0123456789abcdef0123456789abcdef01234567#subdirectory=python

Paths are relative to the file's folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from bundle.foreign import repository
from bundle.foreign.folder import Folder
from bundle.foreign.sdist_file import ENDINGS, Sdist
from bundle.foreign.source import Source, subdirectory_of, without_user
from kit.errors import KitError

NAME = "foreign.in"
_COMMENT = re.compile(r"(^|\s)#.*$")
"""A "#" without a space before it begins `#subdirectory=`."""


def read(path: Path) -> list[Source]:
    """Return the sources that a file names.

    Raises:
        KitError: the file cannot be read, or a line names nothing that can be built.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise KitError(
            f"the list of foreign sources cannot be read: {error}", where=path, fix="correct --foreign"
        ) from error
    lines = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(text.splitlines(), 1))
    return [source(line, path.parent, f"{path}:{number}") for number, line in lines if line]


def source(line: str, folder: Path, where: str) -> Source:
    """Return the source that one line names.

    Args:
        line: without a comment.
        folder: from which paths start.
        where: file and line, for messages.

    Raises:
        KitError: it names nothing that can be built.
    """
    shown = without_user(line)
    if line.startswith("-"):
        raise KitError(
            f"{shown!r} is an option of pip", where=where, fix="write the source alone, without an option"
        )
    if " @ " in line:
        address = shown.partition(" @ ")[2].strip()
        raise KitError(f"{shown!r} begins with a name", where=where, fix=f"write {address} alone")
    address, _, fragment = line.partition("#")
    key, _, value = fragment.partition("=")
    if fragment and key != "subdirectory":
        raise KitError(
            f"#{fragment} says nothing here", where=where, fix="only #subdirectory=FOLDER may follow a source"
        )
    subdirectory = subdirectory_of(value, where) if fragment else ""
    if address.startswith("git+"):
        return repository.parse(address.removeprefix("git+"), subdirectory, where)
    if "://" in address:
        shown = without_user(address)
        fix = "download the file and write its path here"
        if shown.endswith(".git") or ".git@" in shown:
            fix = f"write git+{shown}"
        raise KitError(f"{shown} is neither a path nor a git+ address", where=where, fix=fix)
    try:
        path = folder / Path(address).expanduser()
    except RuntimeError as error:
        raise KitError(
            f"{address} is in the home of nobody: {error}", where=where, fix="correct it"
        ) from error
    if path.is_dir():
        return Folder(path.resolve(), subdirectory, where)
    if path.is_file() and path.name.endswith(ENDINGS):
        return Sdist(path.resolve(), subdirectory, where)
    raise _unusable(address, path, where)


def _unusable(address: str, path: Path, where: str) -> KitError:
    if path.exists():
        return KitError(
            f"{path.name} is neither a folder nor a source distribution ({', '.join(ENDINGS)})",
            where=where,
            fix="give the sources it was made of",
        )
    try:
        Requirement(address)
    except InvalidRequirement:
        return KitError(
            f"{address} is not there", where=where, fix="correct the path; it starts at this file"
        )
    return KitError(
        f"{address} is not there; if it is the name of a package, an index has it",
        where=where,
        fix=f"correct the path, or write {address} into requirements.in and run `python -m bundle lock`",
    )
