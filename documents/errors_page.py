"""docs/errors.md: every message of the kit, its cause and its remedy, by the step in which people meet it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from documents import messages, sources
from documents.markdown import GENERATED, cell, code, introduction, table
from documents.messages import Level, Message
from documents.steps import STEPS, step_of

_LEVELS: dict[Level, str] = {
    "error": "",
    "alarm": "alarm: ",
    "detail": "inside a message: ",
    "line": "",
}
_DETAIL = "it is part of a longer message, which says what to do"
_LINE = "nothing; the run goes on"


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
            parts.append(f"\n## {step.title}\n\n{step.told}\n\n{_table(here)}")
    parts.append(f"\n{len(found)} messages. {GENERATED}\n")
    return "\n".join(parts)


def _table(found: Sequence[Message]) -> str:
    rows = [
        (
            _LEVELS[message.level] + code(message.problem),
            cell(message.cause),
            cell(_remedy(message)),
            code(message.module),
        )
        for message in sorted(found, key=lambda message: (message.problem.lower(), message))
    ]
    return table(("message", "when", "what to do", "from"), rows)


def _remedy(message: Message) -> str:
    if message.fix:
        return message.fix
    return _LINE if message.level == "line" else _DETAIL
