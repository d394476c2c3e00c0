"""Files that every dataset carries beside its contents: to check it, to list it, to install it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from bundle import pylock, sbom, verify
from bundle.dataset import Content, entry_of
from bundle.foreign.source import Origin


def companions(
    dataset: str,
    contents: Sequence[Content],
    *,
    tags: Sequence[str] = (),
    own: Collection[str] = (),
    origins: Mapping[str, Origin] | None = None,
    competitions: Collection[str] = (),
) -> list[Content]:
    """Return `verify.py`, `sbom.json` and, for a dataset of wheels, `pylock.toml`.

    Args:
        dataset: the dataset's name.
        contents: its other files.
        tags: Python tags that its wheels serve; empty if it has none.
        own: normalised names of wheels that we build.
        origins: normalised name -> source of wheels that were built of foreign sources.
        competitions: that a dataset of wheels is for.
    """
    entries = [content.entry for content in contents]
    texts = {
        verify.NAME: verify.program(),
        sbom.NAME: sbom.document(
            dataset, entries, own=own, origins=origins, competitions=competitions
        ).encode(),
    }
    if tags:
        texts[pylock.NAME] = pylock.document(entries, tags).encode()
    return [
        Content(entry=entry_of(data, name, role="data"), source=data) for name, data in sorted(texts.items())
    ]
