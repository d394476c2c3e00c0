"""Files under paths that change with their content, and the tokens of those that are sent.

The official client resumes an upload by path, size and second of change, never by content: a rebuilt file of
equal size would get the old file's bytes. So each file lies alone in a folder that its content and its name
decide, and the client keeps what it has sent in a folder of this build alone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundle.upload.expected import Expected
from kit.artefacts import read_json, sha256_bytes, write_json
from kit.errors import KitError
from kit.local.place_file import place_file

_OLDEST_TOKEN_S = 5 * 24 * 3600
_LONGEST_NAME = 255
"""Of a file on most disks. The client's record has the whole path in its name, with "_" for "/"."""


@dataclass(frozen=True)
class Staged:
    """A file that is ready to be sent.

    Attributes:
        path: alone in its folder.
        size: bytes.
        key: hex sha256 of its content's sha256 and its name; its token is kept under it. Two files of one
            content need two tokens: Kaggle gives a token to a name.
    """

    path: Path
    size: int
    key: str


class Staging:
    """The folder of one upload: `files/`, `client/` (the client's own records), `blobs.json`.

    Args:
        work: folder for all uploads.
        fingerprint: of the dataset.
        kind: what the files become; a token of a dataset's file is none of a model's.
    """

    def __init__(self, work: Path, fingerprint: str, kind: Literal["dataset", "model"] = "dataset") -> None:
        self.folder = work.absolute() / (fingerprint[:16] + ("" if kind == "dataset" else f"-{kind}"))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self.client = self.folder / "client"
        self._blobs = self.folder / "blobs.json"
        self._lock = threading.Lock()

    def stage(self, source: Path, items: Sequence[Expected]) -> list[Staged]:
        """Place the files of a dataset folder, as hard links where that works.

        Raises:
            KitError: a path is too long for the client, or a disk is full.
        """
        staged = []
        for item in (item for item in items if item.inside is None):
            key = sha256_bytes(f"{item.sha256} {item.file}".encode())
            path = self.folder / "files" / key[:20] / item.file
            if len(str(path)) + len(".json") > _LONGEST_NAME:
                raise KitError(
                    f"the path has {len(str(path))} characters, and the Kaggle client needs less than 250",
                    where=path,
                    fix="name a shorter folder with --work",
                )
            if not path.is_file() or path.stat().st_size != item.size:
                place_file(source / item.file, path)
            # The client sends all that lies in the folder. A kill in `place_file` leaves an unfinished file.
            for left in [other for other in path.parent.iterdir() if other.name.startswith(".")]:
                left.unlink()
            staged.append(Staged(path, item.size, key))
        return staged

    def token(self, key: str) -> str | None:
        """Return the blob token of a file that is sent; None if there is none, or if it is too old."""
        found = self._read().get(key)
        if not found or found["time"] < time.time() - _OLDEST_TOKEN_S:
            return None
        return str(found["token"])

    def keep(self, key: str, token: str) -> None:
        """Remember the token of a file that is sent."""
        with self._lock:
            self._write({**self._read(), key: {"token": token, "time": time.time()}})

    def forget(self) -> None:
        """Drop all tokens: the next run sends every file again."""
        with self._lock:
            self._write({})

    def missing_bytes(self, source: Path, items: Sequence[Expected]) -> int:
        """Return the bytes that staging copies: none where the disk takes hard links."""
        if os.stat(source).st_dev == os.stat(self.folder).st_dev:  # noqa: PTH116 - two of them beside each other
            return 0
        return sum(item.size for item in items if item.inside is None)

    def _read(self) -> dict[str, Any]:
        try:
            value: dict[str, Any] = read_json(self._blobs)
        except KitError:
            return {}  # none yet, or damaged: the files are sent again
        return value

    def _write(self, value: dict[str, Any]) -> None:
        # The tokens stand for the right to publish these bytes: the folder is for its owner alone (0700).
        write_json(self._blobs, value)
