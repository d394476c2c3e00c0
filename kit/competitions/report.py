"""Findings about a data folder or a submission file: errors, alarms and notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from kit.errors import KitError

Level = Literal["error", "alarm", "note"]


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        level: "error": the data or file cannot be used; "alarm": valid, but hardly meant so; "note": worth
            knowing.
        message: what was found.
        where: file, row or id.
        fix: what to do, for errors and alarms.
    """

    level: Level
    message: str
    where: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        return f"{self.level}: {self.message}{place}" + (f" -> {self.fix}" if self.fix else "")


@dataclass
class Report:
    """Findings about a data folder or a submission file.

    Attributes:
        subject: the folder or file.
        findings: what was found, in order.
        facts: numbers worth knowing by name, e.g. "test images".
    """

    subject: str
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Return whether there is no error; alarms and notes do not count."""
        return not any(finding.level == "error" for finding in self.findings)

    def add(self, level: Level, message: str, where: str = "", fix: str = "") -> None:
        """Add a finding, in a form that can be written: names may hold what is no UTF-8."""
        texts = (text.encode(errors="backslashreplace").decode() for text in (message, where, fix))
        self.findings.append(Finding(level, *texts))

    def error(self, message: str, where: str = "", fix: str = "") -> None:
        """Add an error."""
        self.add("error", message, where, fix)

    def alarm(self, message: str, where: str = "", fix: str = "") -> None:
        """Add an alarm."""
        self.add("alarm", message, where, fix)

    def note(self, message: str, where: str = "") -> None:
        """Add a note."""
        self.add("note", message, where)

    def take(self, error: KitError, where: str = "") -> None:
        """Add an error that was raised; `where` is its place if the error names none."""
        self.error(error.problem, error.where or where, error.fix or "")

    def require_ok(self) -> None:
        """Raise the first error as a `KitError` that also says how many others there are.

        Raises:
            KitError: there is at least one error.
        """
        errors = [finding for finding in self.findings if finding.level == "error"]
        if errors:
            first, more = errors[0], len(errors) - 1
            raise KitError(
                first.message + (f" (and {more} more error{'s' if more > 1 else ''})" if more else ""),
                where=first.where or self.subject,
                fix=first.fix or None,
            )
