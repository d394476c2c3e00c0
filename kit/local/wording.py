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


def amount(size: float) -> str:
    """Return a number of bytes for a reader: "312 bytes", "4.2 MB", "17.0 GB"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= 0.99995 * unit:  # 999,960,000 bytes are "1.0 GB" and not "1000.0 MB"
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"
