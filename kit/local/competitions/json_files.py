"""Read JSON that people and tools have made; whatever is wrong with it becomes a `KitError`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.errors import KitError


def read_text(path: Path, fix: str) -> str:
    """Return the text of a file, without a byte order mark.

    Raises:
        KitError: it is missing or no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise KitError("file is missing", where=path, fix="check the data folder") from error
    except UnicodeDecodeError as error:
        raise KitError(
            f"no readable JSON file: it is not UTF-8 ({error})",
            where=path,
            fix=f"unpack it, or save it as UTF-8; {fix}",
        ) from error
    except OSError as error:
        raise KitError(
            f"no readable JSON file ({type(error).__name__}: {error})", where=path, fix=fix
        ) from error


def parse(
    text: str, where: str | Path, fix: str, *, on_object: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Return the value of a JSON text. Numbers too large for Python are infinite.

    Args:
        text: of a file or line.
        where: the file or line, for the error message.
        fix: what to do, for the error message.
        on_object: called with every object as soon as it is complete; what it returns takes its place.

    Raises:
        KitError: it is no JSON, or nested too deep.
    """
    try:
        try:
            return json.loads(text, object_hook=on_object)
        except json.JSONDecodeError:
            raise
        except ValueError:  # more than 4300 digits; an infinite number is refused with its place later
            return json.loads(text, object_hook=on_object, parse_int=float)
    except (ValueError, RecursionError) as error:
        raise KitError(f"no readable JSON ({type(error).__name__}: {error})", where=where, fix=fix) from error
