"""What predict.py carries of the manifests: the entries that its ensemble needs."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from kit.manifest import Manifest


def excerpt(manifest: Manifest, *, weights: Container[str], distributions: Container[str]) -> Manifest:
    """Return the part of a manifest that predict.py needs: some of the wheels and of the weights.

    How weights were trained ("run") and the wheels' licences stay in the dataset's manifest.json.

    Args:
        manifest: of the dataset.
        weights: hex sha256 of the weights to keep.
        distributions: normalised names of the wheels to keep, whatever their version and tags.
    """
    kept = [
        replace(entry, run=None, wheel=entry.wheel and replace(entry.wheel, licence=None))
        for entry in manifest.files
        if (entry.wheel is not None and entry.wheel.name in distributions)
        or (entry.role == "weights" and (entry.part_of or entry.sha256) in weights)
    ]
    return replace(manifest, files=kept, excerpt_of=manifest.sha256())


def closure(manifests: Iterable[Manifest], roots: Iterable[str]) -> set[str]:
    """Return the distributions that some need, with all that these need in turn, on any Python.

    timm needs pillow, so the closure of ["timm"] has both.

    Args:
        manifests: whose wheels say what they need.
        roots: normalised names to begin with.
    """
    needs: dict[str, set[str]] = {}
    for wheel in (entry.wheel for manifest in manifests for entry in manifest.files):
        if wheel is not None:
            needs.setdefault(wheel.name, set()).update(*wheel.requires.values())
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return found
