"""The verb `python -m kit doctor`."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kit.command_line import option
from kit.errors import BAD_INPUT
from kit.local.doctor import credentials, disks, environment, leftovers, machine, pages, tools
from kit.local.doctor.finding import Finding
from kit.local.program import DONE
from kit.local.verbs import Verb
from kit.local.version import root

_WIDTH = 100
"""Columns of the text, on a terminal that has as many."""


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Look at this machine: what the kit needs, what is there, and what to do about the rest."""

    json: bool = field(default=False, metadata=option("print JSON"))
    root: Path | None = field(
        default=None, metadata=option("folder of work/, runs/, dist/ (default: the kit's own)", metavar="DIR")
    )


def run(options: Doctor) -> int:
    """Run the verb: 2 if something stops the way from data to a submission, else 0."""
    place = (options.root or root()).resolve()
    checks: Sequence[tuple[str, Callable[[], list[Finding]]]] = (
        ("machine", machine.look),
        ("disks and caches", lambda: disks.look(place)),
        ("programs", tools.look),
        ("environment, GPUs, Kaggle's image", lambda: environment.look(place)),
        ("pages and their tests", lambda: pages.look(place)),
        ("credentials", credentials.look),
        ("what commands left behind", lambda: leftovers.look(place)),
    )
    seen: list[tuple[str, Finding]] = []
    for title, look in checks:
        found = _looked(title, look)
        seen += [(title, finding) for finding in found]
        if not options.json:
            print(f"{title}:")
            for finding in found:
                print("\n".join(_lines(finding)), flush=True)
    counts = {
        level: sum(finding.level == level for _, finding in seen) for level in ("ok", "note", "problem")
    }
    if options.json:
        findings = [{"section": title, **asdict(finding)} for title, finding in seen]
        print(json.dumps({"ok": not counts["problem"], "counts": counts, "findings": findings}, indent=1))
    else:
        said = ", ".join(
            f"{number} {level}{'s' * (level != 'ok' and number != 1)}" for level, number in counts.items()
        )
        print(f"{said}: {'not ready, see the problems' if counts['problem'] else 'ready'}")
    return BAD_INPUT if counts["problem"] else DONE


def _looked(title: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Run one check; a check that fails is a finding, and the others go on."""
    if title.startswith("environment") and sys.stderr.isatty():
        print("(a kernel is tried on each GPU; the first import of torch takes a while)", file=sys.stderr)
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a machine has more ways to be odd than this file knows
        told = f"could not be checked: {type(error).__name__}: {error}"
        return [Finding(about=title, level="note", told=told)]


def _lines(finding: Finding) -> list[str]:
    head = f"  {finding.level:<8} {finding.about}: {finding.told}"
    lines = _folded(head, indent=11) or [head]
    return lines + (_folded(" " * 11 + "-> " + finding.fix, indent=14) if finding.fix else [])


def _folded(text: str, *, indent: int) -> list[str]:
    """Fold a line for a terminal, never inside a path; in a log it stays whole."""
    if not sys.stdout.isatty():
        return [text]
    width = min(shutil.get_terminal_size().columns, _WIDTH)
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


DOCTOR = Verb(
    "doctor",
    Doctor,
    run,
    task="this machine",
    examples=("doctor", "doctor --json"),
    kept="nothing is changed by it",
)
"""`doctor [--json]`."""
