"""Competitions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.competitions.base import Competition
from kit.competitions.kidney import Kidney
from kit.competitions.vasculature import Vasculature
from kit.errors import KitError

if TYPE_CHECKING:
    from kit.ensemble import Ensemble

__all__ = ["get", "names", "of"]


def names() -> list[str]:
    """Names that `get` takes, as used on command lines."""
    return sorted(_table())


def get(name: str) -> Competition:
    """The competition of a name.

    Raises:
        KitError: no such competition; lists those there are.
    """
    table = _table()
    if name not in table:
        raise KitError(f"no competition is called {name!r}", fix=f"use one of: {', '.join(sorted(table))}")
    return table[name]


def of(ensemble: Ensemble) -> Competition:
    """The competition an ensemble was made for."""
    return get(ensemble.competition)


def _table() -> dict[str, Competition]:
    return {competition.name: competition for competition in (Kidney(), Vasculature())}
