"""What the published checkpoints hold that trainings start from: another content is another training."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kit.artefacts import read_json, sha256_file, sha256_json, write_json
from kit.errors import KitError
from kit.local import safetensors_header

_HEADER = "pretrained"
"""Key of a converted file's metadata (`kit.local.pretrained.conversion`, which loads torch)."""


class CheckpointContents:
    """The hashes of the checkpoints in a folder.

    Hashing 1.5 GB takes seconds, so hashes are kept with size and date of their files.

    Args:
        folder: of checkpoints; None if the user named none.
        cache: file for the hashes; None keeps none.
    """

    def __init__(self, folder: Path | None, cache: Path | None = None) -> None:
        self._folder, self._cache = folder, cache
        self._known: dict[str, Any] = {}
        if cache is not None and cache.is_file():
            with contextlib.suppress(KitError, ValueError, TypeError):  # damaged: hashed again
                self._known = dict(read_json(cache))

    def of(self, name: str, network: Mapping[str, Any], files: Sequence[str]) -> str | None:
        """Return the hash of what a training starts from.

        A published file and what `kit.local.pretrained.find` converts it to count as one: the conversion
        records the hash of its source. So a conversion between two plans changes nothing.

        Args:
            name: of the checkpoint.
            network: plain dict of the network.
            files: names that the published file may have.

        Returns:
            None where the folder has no such file.
        """
        if self._folder is None:
            return None
        # The same order as in `kit.local.pretrained.store.find`.
        raw = next((path for file in files if (path := self._folder / file).is_file()), None)
        own, by_hand = (
            _header(self._folder / f"{name}{end}.safetensors")
            for end in (f".{network['network']}-{sha256_json(dict(network))[:8]}", "")
        )
        if own.get("network") == network["network"] and (raw is None or _header(raw)):
            return str(own["source_sha256"])
        if not own and by_hand.get("network") == network["network"]:
            return self._hash(self._folder / f"{name}.safetensors")
        return None if raw is None else self._hash(raw)

    def _hash(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._known.get(str(path))
        if known is not None and known[:2] == stamp:
            return str(known[2])
        found = sha256_file(path)
        self._known[str(path)] = [*stamp, found]
        if self._cache is not None:
            write_json(self._cache, self._known)
        return found


def _header(path: Path) -> dict[str, Any]:
    """What a file says about its conversion; {} if it is not there or was not converted."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        found = json.loads(safetensors_header.read(path).metadata.get(_HEADER, "{}"))
    except (KitError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
