"""Datasets that an earlier build of the same ensembles left under other names.

`render` writes the manifests of all of a competition's wheels into predict.py, so a folder of a former name
would be asked for on Kaggle, too:

    bundle/  hubmap-kit-wheels            before the competition was a part of the name: removed
             hubmap-kit-kidney-weights    built with another --prefix: removed
             my-kidney-wheels             what `build --prefix my` makes now
             my-kidney-weights

A name does not say whose a folder is: `kit-x-kidney-weights` ends like a dataset of kidney, and is of
x-kidney. So each dataset says itself what it is for: weights in their `ensemble.json`, wheels in their
`sbom.json`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle import dataset
from kit import manifest
from kit.errors import KitError
from kit.local.dataset_folders import competitions_of, is_alone


@dataclass(frozen=True)
class _Found:
    """A dataset that a build wrote into the folder.

    Attributes:
        folder: where it is.
        weights: it holds weights, not wheels.
        competitions: that it was built for; none for wheels of an early version, which do not say it.
        alone: it holds wheels that were built without a competition.
    """

    folder: Path
    weights: bool
    competitions: frozenset[str]
    alone: bool = False


def find(out: Path, names: Mapping[str, Collection[str]], prefix: str) -> list[Path]:
    """Return the folders of former names.

    Args:
        out: folder of the datasets.
        names: of the datasets that are made now, each with the competitions it is made for.
        prefix: of these names.

    Raises:
        KitError: one of them holds files that no build wrote, or does not say which competition it is for;
            or a name of now is that of another competition's dataset.
    """
    there = list(_datasets(out))
    building = {competition for competitions in names.values() for competition in competitions}
    # Competitions that still have weights here need their wheels, too.
    others = {name for item in there if item.weights for name in item.competitions} - building
    _require_free(there, names, others)
    former = [
        item
        for item in there
        if item.folder.name not in names and item.competitions & building and not item.competitions & others
    ]
    _require_told(there, former, building, names, prefix)
    for item in former:
        if strange := dataset.others_in(item.folder):
            raise KitError(
                f"the datasets have other names now, and this one of before holds {strange[0]}, which is not "
                "the kit's",
                where=item.folder,
                fix="move what you need out of it and delete the folder, or use another --out",
            )
    return [item.folder for item in former]


def _datasets(out: Path) -> Iterator[_Found]:
    for path in sorted(out.glob(f"*/{manifest.NAME}")):
        folder = path.parent
        try:
            listed = manifest.load(path)
        except KitError:
            continue  # `render` refuses it; nobody can tell whose it is
        if listed.dataset != folder.name:
            continue  # somebody's copy, which `render` refuses, too
        roles = {entry.role for entry in listed.files}
        if "weights" in roles:
            yield _Found(folder, weights=True, competitions=competitions_of(folder))
        elif "wheel" in roles:
            yield _Found(folder, False, competitions_of(folder), is_alone(folder))


def _require_free(there: list[_Found], names: Mapping[str, Collection[str]], others: set[str]) -> None:
    """Refuse to write over a dataset of a competition that is not built now, or of none."""
    for item in there:
        if item.alone and item.folder.name in names:
            mine = ", ".join(sorted(names[item.folder.name]))
            raise KitError(
                f"the dataset of {mine} would have the name of this one, which is of wheels alone",
                where=item.folder,
                fix="choose another --prefix or another --out",
            )
        if lost := sorted(item.competitions & others) if item.folder.name in names else []:
            mine = ", ".join(sorted(names[item.folder.name]))
            raise KitError(
                f"the dataset of {mine} would have the name of this one, which is of {', '.join(lost)}",
                where=item.folder,
                fix="choose another --prefix or another --out",
            )


def _require_told(
    there: list[_Found],
    former: list[_Found],
    building: set[str],
    names: Mapping[str, Collection[str]],
    prefix: str,
) -> None:
    """Refuse wheels of an early version that have a former name, and do not say what they are for."""
    starts = {prefix}
    for competition in building:
        ending = f"-{competition}-weights"
        starts |= {
            item.folder.name.removesuffix(ending) for item in former if item.folder.name.endswith(ending)
        }
    kept = {item.folder.name for item in there if item.weights and not item.competitions & building}
    suspects = {f"{start}-{competition}-wheels" for start in starts for competition in building}
    # Beside weights of another competition they are probably the wheels of both.
    suspects |= {
        f"{start}-wheels" for start in starts if not any(name.startswith(f"{start}-") for name in kept)
    }
    for item in there:
        name = item.folder.name
        if not (item.weights or item.alone or item.competitions) and name in suspects and name not in names:
            raise KitError(
                "an early version of the kit wrote these wheels, and they do not say for which competition; "
                "predict.py would ask for them on Kaggle",
                where=item.folder,
                fix=f"delete the folder if it is of {', '.join(sorted(building))}, or use another --out",
            )
