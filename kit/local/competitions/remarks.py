"""Collect what readers of truth assumed or left out, so that every command can tell it."""

from __future__ import annotations

from kit.competitions.report import Level, Report


class Remarks:
    """Counts remarks of one kind, so that 5000 clipped outlines are one line.

    A remark is a text that goes on after its number: "outlines leave their image" becomes
    "3 outlines leave their image", at the place of the first one.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[Level, str, str], list[str]] = {}

    def note(self, text: str, where: str) -> None:
        """Add what is worth knowing."""
        self._places.setdefault(("note", text, ""), []).append(where)

    def alarm(self, text: str, where: str, fix: str) -> None:
        """Add what can be used, but is hardly meant so."""
        self._places.setdefault(("alarm", text, fix), []).append(where)

    def tell(self, report: Report) -> None:
        """Add one finding for every kind of remark: the number, the text, the first place."""
        for (level, text, fix), places in self._places.items():
            report.add(level, f"{len(places)} {text}", places[0], fix)
