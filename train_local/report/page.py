"""Write the page: one HTML file without references to other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import write_text
from kit.local.pages.gallery import PICTURES
from kit.local.pages.render import render
from train_local.durations import duration
from train_local.report.chapter import Chapter, Source, gather

_TAIL = 12
"""Last lines of the log of a failed job that the page shows."""


@dataclass(frozen=True)
class FailedJob:
    """A job that failed.

    Attributes:
        name: of the job.
        problem: what happened.
        log: what its process printed.
        fix: what to do.
    """

    name: str
    problem: str
    log: Path
    fix: str

    @property
    def tail(self) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-_TAIL:])


def write_report(
    out: Path, sources: Sequence[Source], *, failed: Sequence[FailedJob] = (), pictures: int = PICTURES
) -> None:
    """Write the page about all runs, finished or not.

    Args:
        out: the HTML file.
        sources: one for each competition.
        failed: jobs that failed.
        pictures: held-out images of a competition with a picture, at most.

    Raises:
        KitError: `out` cannot be written.
    """
    write_text(out, page([gather(source, pictures=pictures) for source in sources], failed))


def page(chapters: Sequence[Chapter], failed: Sequence[FailedJob] = ()) -> str:
    """Return the HTML."""
    template = Path(__file__).with_name("page.html")
    return render(template, chapters=chapters, failed=failed, duration=duration, number=_number)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
