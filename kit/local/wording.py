"""Words around numbers, for the local commands. Only the standard library, since doctor has no more."""

from __future__ import annotations


def counted(number: int, noun: str, *, plural: str = "") -> str:
    """Return "1 file" or "3 files".

    Args:
        number: of things.
        noun: one of them.
        plural: several of them; empty for the noun and an "s".
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
