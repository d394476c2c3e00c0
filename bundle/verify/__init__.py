"""The file that a stranger checks a dataset with; it is copied into every dataset as it is."""

from __future__ import annotations

from importlib.resources import files

NAME = "verify.py"


def program() -> bytes:
    """Return the text of `verify.py`, byte for byte what datasets carry."""
    return (files(__package__) / NAME).read_bytes()
