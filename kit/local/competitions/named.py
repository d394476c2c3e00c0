"""The competition that a command line names: as the kit's own, as a file, or as what was prepared here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit import competitions
from kit.artefacts import read_json
from kit.competitions.competition import Competition
from kit.errors import KitError, did_you_mean

WORK = Path("work")
"""Where nox's `prepare` puts competitions, below the repository."""


@dataclass(frozen=True)
class _Prepared:
    """What `kit.competitions.of` asks of prepared data."""

    competition: str
    definition: dict[str, Any] | None


def named(name: str, work: Path = WORK) -> Competition:
    """Return a competition that the kit knows, that a TOML file describes, or that was prepared.

    Args:
        name: "kidney", "mine.toml", or the name that nox's sessions take for prepared data.
        work: folder of prepared data.

    Raises:
        KitError: there is none of the name (lists those there are), or its file is wrong.
    """
    if name in competitions.names() or name.endswith(".toml"):
        return competitions.get(name)
    made = sorted(path.parent.name for path in work.glob("*/prepared.json"))
    if name in made:
        value = read_json(work / name / "prepared.json")
        return competitions.of(_Prepared(str(value["competition"]), value["definition"]))
    known = sorted({*competitions.names(), *made})
    raise KitError(
        f"no competition is called {name!r}",
        fix=f"{did_you_mean(name, known)}use one of: {', '.join(known)}, or the path of a .toml file "
        "(docs/competitions.md); another name is known once `prepare` has run, in the folder that has work/",
    )
