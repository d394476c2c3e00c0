"""The registry's entry of one published checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["detector", "detector-v1", "segmentor", "mit", "timm", "swin", "vit", "resnet"]

_HASH = re.compile(r"-([0-9a-f]{8})\.pth$")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One published checkpoint from which training may start.

    Attributes:
        name: its name in recipes and commands: the file's name without date, hash and ending. A long name
            also loses its training schedule.
        url: address of the file; empty if a library fetches the file itself.
        kind: name of its format in `kit.local.pretrained.checkpoint_formats`.
        networks: names of the registered networks that may start from it.
        licence: of the weights, as far as their authors say. The training data have terms of their own.
        note: what a user should know before using it.
        least: share from 0 to 1 that has to load; None means the share that its format asks for.
        signed: whether the host answers a link without a signature with 403 or 404. The authors' README then
            has links with a signature.
    """

    name: str
    url: str
    kind: Kind
    networks: tuple[str, ...]
    licence: str
    note: str = ""
    least: float | None = None
    signed: bool = False

    @property
    def file(self) -> str:
        """The file's name in the address."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def hash_prefix(self) -> str:
        """First eight hex digits of the sha256 if the file's name has them, else an empty text."""
        # "regnety_016-54367f74.pth" -> "54367f74"
        found = _HASH.search(self.file)
        return found[1] if found else ""

    def as_dict(self) -> dict[str, Any]:
        """Return a plain JSON value."""
        return {
            "name": self.name,
            "file": self.file,
            "url": self.url,
            "sha256_prefix": self.hash_prefix,
            "kind": self.kind,
            "networks": list(self.networks),
            "licence": self.licence,
            "note": self.note,
            "signed": self.signed,
        }
