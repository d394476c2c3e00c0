"""`python -m documents write | check | stage | site`: pages of docs/ made from the code, and their site."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option
from kit.errors import KitError
from kit.local.program import run_cli
from kit.local.verbs import Program, Verb

ROOT = Path(__file__).parents[1]
_NAMES = option("pages (default: all)", positional=True, metavar="NAME")


@dataclass(frozen=True, kw_only=True)
class Write:
    """Write the pages that are made from the code again, and the list of the public surface.

    Attributes:
        names: of the pages; all if empty.
        releases: ask the package index for the last release of each line of the requirements first.
    """

    names: tuple[str, ...] = field(default=(), metadata=_NAMES)
    releases: bool = field(
        default=False, metadata=option("ask the package index for last releases first (needs a connection)")
    )


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say which of these pages are out of date; write nothing.

    Attributes:
        names: of the pages; all if empty.
    """

    names: tuple[str, ...] = field(default=(), metadata=_NAMES)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Copy docs/ into a folder, with the links that the site can have; check those to sources."""

    out: Path = field(metadata=option("the folder, which is emptied first", metavar="DIR"))


@dataclass(frozen=True, kw_only=True)
class Site:
    """Check that a site which was built asks nothing of another host."""

    folder: Path = field(metadata=option("of the site", positional=True, metavar="DIR"))


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    # Imported here, so that a Python without the kit's dependencies gets `run_cli`'s message.
    from documents import dependencies, pages, site, staging

    def write(options: Write) -> int:
        if options.releases:
            dependencies.ask(ROOT)
        for file in pages.write(ROOT, options.names):
            print(f"{file} is written")
        return 0

    def check(options: Check) -> int:
        if stale := pages.stale(ROOT, options.names):
            raise KitError(
                f"out of date: {', '.join(stale)}",
                where=ROOT,
                fix="run `python -m documents write`, read what changed, and commit it",
            )
        return 0

    def stage(options: Stage) -> int:
        staging.stage(ROOT, options.out)
        return 0

    def built(options: Site) -> int:
        print(f"{site.require_alone(options.folder)} pages; begin with {options.folder / 'index.html'}")
        print(f"its search needs a server: python -m http.server --directory {options.folder}")
        return 0

    written, site_task = "pages made from the code", "their site"
    verbs = (
        Verb(
            "write", Write, write, written, ("write", "write --releases"), "pages that are written are whole"
        ),
        Verb("check", Check, check, written, ("check",), "nothing was to be written"),
        Verb(
            "stage",
            Stage,
            stage,
            site_task,
            ("stage --out build/docs",),
            "the folder is incomplete, and is emptied first",
        ),
        Verb("site", Site, built, site_task, ("site dist/docs",), "nothing was to be written"),
    )
    return Program("python -m documents", "The pages of docs/, and their site.", verbs)


if __name__ == "__main__":
    sys.exit(run_cli(main))
