"""docs/errors.md: every message of the kit, its cause and its remedy, by the step in which people meet it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from documents import messages, sources, verdicts
from documents.markdown import GENERATED, cell, code, introduction
from documents.messages import Level, Message
from documents.steps import STEPS, step_of

_LEVELS: dict[Level, str] = {
    "error": "",
    "alarm": "alarm",
    "note": "note",
    "verdict": "verdict",
    "detail": "part of a longer message",
    "line": "said while it goes on",
}
_UNSAID: dict[Level, str] = {
    "error": "what the message itself says behind `fix:`",
    "alarm": "what the message itself says behind `fix:`",
}
"""The remedy where the code's has no words of its own; of the other levels none is needed."""


def page(root: Path) -> str:
    """Return the text of docs/errors.md.

    Args:
        root: the repository.
    """
    found = messages.find(sources.read(root))
    parts = [introduction(root, "errors")]
    for step in STEPS:
        here = [message for message in found if step_of(message.module) is step]
        if here:
            parts.append(f"\n## {step.title}\n\n{step.told}\n\n{_entries(here)}")
    number = len({(step_of(message.module).title, message.problem, message.level) for message in found})
    parts.append(f"\n{number} messages. {GENERATED}\n")
    return "\n".join(parts)


def _entries(found: Iterable[Message]) -> str:
    """One entry for each text, with every cause and remedy that modules give it."""
    same: dict[tuple[str, Level], list[Message]] = {}
    for message in sorted(found, key=lambda message: (message.problem.lower(), message)):
        same.setdefault((message.problem, message.level), []).append(message)
    return "".join(_entry(problem, level, group) for (problem, level), group in same.items())


def _entry(problem: str, level: Level, group: list[Message]) -> str:
    """A message, when it comes, what to do, and the modules that say it: one item of a list.

    `report.json is missing`
    Comes when: ...; Do: ...
    """
    kind = f" ({_LEVELS[level]})" if _LEVELS[level] else ""
    lines = [f"- {code(problem)}{kind}"]
    lines += [f"**When:** {cause}" for cause in _distinct(cell(message.cause) for message in group)]
    remedies = _distinct(cell(message.fix) for message in group if _says_something(message.fix))
    if level == "verdict":
        remedies = [cell(verdicts.remedy(problem))]
    if not remedies and level in _UNSAID:
        remedies = [_UNSAID[level]]
    lines += [f"**{'Or' if number else 'Do'}:** {remedy}" for number, remedy in enumerate(remedies)]
    lines.append(f"<small>{', '.join(_distinct(message.module for message in group))}</small>")
    return "<br>".join(lines) + "\n"


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))


def _says_something(fix: str) -> bool:
    """Whether a remedy has words beside the values that stand in it: `<fix>` tells a reader nothing."""
    return bool(re.search(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", "", fix)))
