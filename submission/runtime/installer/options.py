"""install.py's options. In a notebook none is needed, and none can be given."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kit.command_line import option


@dataclass(frozen=True, kw_only=True)
class Options:
    """Install the wheels of a dataset offline, beside the image's packages.

    Attributes:
        input: folder like /kaggle/input.
        folder: for the packages; None: a new one on a disk with room.
        check_imports: file for the result of an import check; the installer starts itself with it.
    """

    input: Path = field(
        default=Path("/kaggle/input"), metadata=option("folder with the mounts", metavar="DIR")
    )
    folder: Path | None = field(
        default=None,
        metadata=option("for the packages (default: on a disk with room, such as /tmp)", metavar="DIR"),
    )
    check_imports: Path | None = field(default=None, metadata=option("try all imports", hidden=True))
