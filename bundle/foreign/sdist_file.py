"""A source distribution on this machine: `.tar.gz` or `.zip`, unpacked so that nothing leaves its folder."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from bundle.foreign.source import Origin, project_in
from kit.artefacts import sha256_file
from kit.errors import KitError

ENDINGS = (".tar.gz", ".tgz", ".zip")


@dataclass(frozen=True)
class Sdist:
    """A source distribution.

    Attributes:
        path: of the file.
        subdirectory: of the project below its top folder; "" for that folder.
        where: file and line that name it.
    """

    path: Path
    subdirectory: str
    where: str

    def content(self) -> str:
        """As `Source`: the hash of the file's bytes."""
        return f"sha256:{sha256_file(self.path)}"

    def origin(self, content: str) -> Origin:
        """As `Source`."""
        return Origin(title=self.path.name, content=content)

    def unpack(self, to: Path) -> Path:
        """As `Source`."""
        try:
            if self.path.name.endswith(".zip"):
                self._unzip(to)
            else:
                self._untar(to)
        except (
            *(tarfile.TarError, zipfile.BadZipFile, zlib.error),
            *(EOFError, RuntimeError, OSError, ValueError),
        ) as error:
            raise KitError(
                f"the source distribution cannot be unpacked: {error}",
                where=self.path,
                fix="download or make it again; it is damaged or of another kind than its name says",
            ) from error
        # foo-1.2.tar.gz holds one folder foo-1.2; some archives made by hand have no such folder.
        inside = sorted(to.iterdir())
        alone = len(inside) == 1 and inside[0].is_dir()
        return project_in(inside[0] if alone else to, self.subdirectory, self.where)

    def _untar(self, to: Path) -> None:
        with tarfile.open(self.path, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                self._require_inside(member.name)
            try:
                # The filter refuses links out of the folder and devices, too. It came with Python 3.11.4.
                tar.extractall(to, members=members, filter="data")
            except tarfile.FilterError as error:
                raise self._outside(error.tarinfo.name) from error

    def _unzip(self, to: Path) -> None:
        with zipfile.ZipFile(self.path) as archive:
            for item in archive.infolist():
                # Python replaces "\" in names of a zip only on Windows, so that here it is part of a name.
                self._require_inside(item.orig_filename.replace("\\", "/"))
                if stat.S_ISLNK(item.external_attr >> 16):
                    raise self._outside(item.filename)
            archive.extractall(to)  # noqa: S202 - every name was looked at
            for item in archive.infolist():
                if not item.is_dir() and item.external_attr >> 16 & stat.S_IXUSR:
                    (to / item.filename).chmod(0o755)

    def _require_inside(self, name: str) -> None:
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise self._outside(name)

    def _outside(self, name: str) -> KitError:
        return KitError(
            f"the source distribution would write outside of its folder: {name!r}",
            where=self.path,
            fix="do not use it; get the source distribution from the project itself",
        )
