"""Which competition a dataset folder was built for, and which of a folder's datasets one competition needs.

One folder may hold the datasets of several competitions, and wheels that were built without any:

    bundle/  kit-kidney-wheels        for kidney, says its sbom.json
             kit-kidney-weights       for kidney, says its ensemble.json
             kit-vasculature-wheels   for vasculature
             offline-wheels           wheels alone: it has a requested.json
             kit-wheels               of an early version, which says nothing

predict.py of kidney needs the first two. It is given the last one, too, since nobody can tell whose it is.
"""

from __future__ import annotations

import json
from pathlib import Path

from kit import ensemble, manifest, requested
from kit.artefacts import read_text
from kit.errors import KitError

ENSEMBLE = "ensemble.json"
"""File of a dataset of weights; it names their competition."""
SBOM = "sbom.json"
"""File of every dataset; in one of wheels it names the competitions that they are for."""
COMPETITION = "hubmap-kit:competition"
"""Property of a bill of materials, once for each competition."""


def competitions_of(folder: Path) -> frozenset[str]:
    """Return the competitions that a dataset says it was built for; none where it does not say it.

    Args:
        folder: of the dataset.
    """
    if (folder / ENSEMBLE).is_file():
        try:
            return frozenset({ensemble.load(folder / ENSEMBLE).competition})
        except KitError:
            return frozenset()
    try:
        return competitions_in(read_text(folder / SBOM))
    except (OSError, ValueError):
        return frozenset()


def competitions_in(sbom: str) -> frozenset[str]:
    """Return the competitions that a bill of materials names; none if it is damaged."""
    try:
        properties = json.loads(sbom)["metadata"]["component"]["properties"]
        return frozenset(str(item["value"]) for item in properties if item["name"] == COMPETITION)
    except (ValueError, LookupError, TypeError):
        return frozenset()


def is_alone(folder: Path) -> bool:
    """Return whether a dataset is of wheels that were built without a competition."""
    return (folder / requested.NAME).is_file()


def folders_in(bundle: Path) -> list[Path]:
    """Return the dataset folders in a folder, sorted; the folder itself, if it is one.

    Args:
        bundle: folder with dataset folders, or one of these.
    """
    paths = [*bundle.glob(f"*/{manifest.NAME}"), *bundle.glob(manifest.NAME)]
    return sorted(path.parent for path in paths)


def folders_for(bundle: Path, competition: str) -> list[Path]:
    """Return the dataset folders that may serve a competition, sorted.

    What says that it is for other competitions only, or for none, is left out.

    Args:
        bundle: folder with dataset folders, or one of these.
        competition: its name, as ensembles have it.
    """
    return [
        folder
        for folder in folders_in(bundle)
        if not is_alone(folder) and (not (told := competitions_of(folder)) or competition in told)
    ]
