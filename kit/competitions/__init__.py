"""Competitions: three that the kit knows by name, and any other that a TOML file describes."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kit.competitions.folder import CompetitionFolder
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError, did_you_mean
from kit.optional import optional_module

if TYPE_CHECKING:
    from kit.competitions.competition import Competition  # needs numpy, which `folder_of` does without

__all__ = ["NamesCompetition", "folder_of", "get", "names", "of"]


class NamesCompetition(Protocol):
    """Anything that names the competition it was made for, such as an ensemble or prepared data."""

    @property
    def competition(self) -> str:
        """Return the competition's name."""

    @property
    def definition(self) -> dict[str, Any] | None:
        """Return the values of its TOML file; None for a competition the kit knows by name."""


def names() -> list[str]:
    """Return the names that `get` knows, sorted."""
    return sorted(PRESETS)


def get(name: str | Path) -> Competition:
    """Return the competition of a name or of a TOML file.

    Raises:
        KitError: there is no such competition (lists the known ones), or the file is wrong (names the key).
    """
    if isinstance(name, str) and name in PRESETS:
        return _made(PRESETS[name], name, None)
    if Path(name).suffix != ".toml":
        raise KitError(
            f"no competition is called {str(name)!r}",
            fix=f"{did_you_mean(str(name), names())}use one of: {', '.join(names())}, or the path of a .toml "
            "file (docs/competitions.md)",
        )
    value = optional_module(__package__, "toml_file").read(Path(name))
    return _from_file(value, name)


def of(made: NamesCompetition) -> Competition:
    """Return the competition something was made for; the TOML file itself is not needed.

    Raises:
        KitError: the kit does not know the name, or the definition is wrong.
    """
    if made.definition is None:
        return get(made.competition)
    return _from_file(made.definition, f"definition of {made.competition}")


def folder_of(made: NamesCompetition) -> CompetitionFolder:
    """Return what is known of a competition without numpy: its ids, sizes and fallback rows.

    Raises:
        KitError: as `of`.
    """
    value = made.definition
    if value is None and made.competition not in PRESETS:
        return get(made.competition)  # raises the error
    where = f"definition of {made.competition}"
    return CompetitionFolder(parse(PRESETS[made.competition] if value is None else value, where=where), value)


def _from_file(value: dict[str, Any], where: str | Path) -> Competition:
    made = _made(value, where, value)
    if made.name in PRESETS:
        raise KitError(
            f"name is {made.name!r}, which is the name of a competition the kit knows",
            where=where,
            fix="give it a name of its own",
        )
    return made


def _made(value: dict[str, Any], where: str | Path, definition: dict[str, Any] | None) -> Competition:
    form = parse(value, where=where)
    # No literal import of `semantic` or `instance`: predict.py embeds only the one its ensemble needs.
    chosen: type[Competition] = import_module(f".{form.module}", __name__).COMPETITION
    return chosen(form, definition)
