"""Parts of a rendered script that are no code: JSON values that a reader of the script can follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kit.errors import KitError
from submission.readable_json import readable_json
from submission.runtime.script.text import QUOTES


def json_part(value: Any, where: Path) -> str:
    """Return the text of a part that holds a JSON value.

    Args:
        value: plain.
        where: the file it is from, for messages.

    Raises:
        KitError: it cannot be written as JSON.
    """
    try:
        text = readable_json(value)
    except (ValueError, RecursionError) as error:
        raise KitError(
            f"a value cannot be written as JSON: {error}",
            where=where,
            fix="run the step that writes it again",
        ) from error
    # The parts stand between three single quotes. In JSON, a single quote occurs inside strings only, and its
    # escape \u0027 means the same there.
    return text.replace("'", "\\u0027") if QUOTES in text else text
