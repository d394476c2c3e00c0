"""What is known of one published checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["detector", "detector-v1", "segmentor", "mit", "timm", "swin", "vit", "resnet"]

_HASH = re.compile(r"-([0-9a-f]{8})\.pth$")


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One published starting point.

    Attributes:
        name: what recipes and commands call it: the file's name without date, hash and ending; a long
            one without its schedule.
        url: of the file; empty when a library fetches it itself.
        kind: which converter reads it, see `kit.local.pretrained.checkpoint_formats`.
        networks: registered networks it is a start for.
        licence: of the weights, as far as their authors say; the training data have terms of their own.
        note: what one should know before using it.
        least: share of the network's part that has to load, where the kind's own would be too much to ask.
        signed: the host answers a bare link with 403 or 404; the authors' README has links with a signature.
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
        """Published file name."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def hash_prefix(self) -> str:
        """First eight hex digits of the sha256 where the publisher put them into the name, else empty."""
        found = _HASH.search(self.file)
        return found[1] if found else ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON value."""
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
