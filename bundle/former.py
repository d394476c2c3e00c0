"""Datasets that an earlier build of the same ensembles left under other names.

`render` writes the manifests of all wheels beside the weights into predict.py, so a folder of a former name
would be asked for on Kaggle, too:

    bundle/  hubmap-kit-wheels            before the competition was a part of the name: removed
             hubmap-kit-kidney-weights    built with another --prefix: removed
             my-kidney-wheels             what `build --prefix my` makes now
             my-kidney-weights
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from bundle import dataset
from kit import manifest
from kit.errors import KitError


def find(out: Path, competitions: Collection[str], names: Collection[str], prefix: str) -> list[Path]:
    """Return the folders of former names.

    Args:
        out: folder of the datasets.
        competitions: of the ensembles that are built.
        names: of the datasets that are made now.
        prefix: of these names.

    Raises:
        KitError: one of them holds files that no build wrote.
    """
    there = {path.parent.name for path in out.glob(f"*/{manifest.NAME}")}
    found = [out / name for name in _former(there, competitions, prefix) if name in there - {*names}]
    for folder in found:
        if strange := dataset.others_in(folder):
            raise KitError(
                f"the datasets have other names now, and this one of before holds {strange[0]}, which is not "
                "the kit's",
                where=folder,
                fix="move what you need out of it and delete the folder, or use another --out",
            )
    return found


def _former(there: Collection[str], competitions: Collection[str], prefix: str) -> Iterator[str]:
    prefixes = {prefix}
    for competition in competitions:
        ending = f"-{competition}-weights"
        prefixes |= {name.removesuffix(ending) for name in there if name.endswith(ending)}
    for start in sorted(prefixes):
        own = [f"{start}-{competition}-weights" for competition in competitions]
        yield from own
        yield from (f"{start}-{competition}-wheels" for competition in competitions)
        others = {name for name in there if name.startswith(f"{start}-") and name.endswith("-weights")}
        if not others - {*own}:  # else the wheels are those of a bundle of several ensembles
            yield f"{start}-wheels"
