"""Read and write `costs.json` beside `ensemble.json`: measured costs differ between equal runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from kit import ensemble as ensembles
from kit.artefacts import read_json, write_json
from kit.ensemble import Ensemble
from kit.typed_json import Checked, at_least, from_plain, to_plain

COSTS = "costs.json"


@dataclass(frozen=True, kw_only=True)
class Costs(Checked):
    """What passes cost where the ensemble was made.

    Attributes:
        passes: name of the member and view, "unet.fold0 hflip" -> seconds per megapixel.
    """

    passes: dict[str, Annotated[float, at_least(0)]]


def four_digits(seconds: float) -> float:
    """Return a measured cost with four significant digits; a measurement knows no more.

    >>> four_digits(0.6369616873214543)
    0.637
    """
    return float(f"{seconds:.4g}")


def load_with_costs(path: Path) -> Ensemble:
    """Read and check `ensemble.json`, with the costs in `costs.json` beside it.

    Without that file, passes have the costs that `ensemble.json` says, or 1 second per megapixel.

    Raises:
        KitError: a file is missing, damaged or of another schema.
    """
    ensemble = ensembles.load(path)
    place = path.with_name(COSTS)
    if not place.is_file():
        return ensemble
    costs = from_plain(Costs, read_json(place), where=place, fix="run `ensemble` again").passes
    known = [
        replace(item, seconds_per_megapixel=costs.get(name, item.seconds_per_megapixel))
        for name, item in zip(_names(ensemble), ensemble.passes, strict=True)
    ]
    return replace(ensemble, passes=known)


def save_with_costs(path: Path, ensemble: Ensemble) -> None:
    """Write `costs.json`, then `ensemble.json` without the costs.

    Raises:
        KitError: the disk is full.
    """
    seconds = [item.seconds_per_megapixel for item in ensemble.passes]
    write_json(
        path.with_name(COSTS), to_plain(Costs(passes=dict(zip(_names(ensemble), seconds, strict=True))))
    )
    plain = ensemble.as_dict()
    for item in plain["passes"]:
        del item["seconds_per_megapixel"]
    write_json(path, plain)


def _names(ensemble: Ensemble) -> list[str]:
    return [f"{ensemble.members[item.member].name} {item.view}" for item in ensemble.passes]
