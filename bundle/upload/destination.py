"""Where an upload goes: what is there now, and the one call that publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bundle.upload.expected import RemoteEntry
from kit.local.kaggle.outcome import Refused
from kit.local.kaggle.sending import BlobType
from kit.local.kaggle.wire import Wire

NOT_THERE = (403, 404)
"""Kaggle says 403 for a dataset that does not exist, and for a new one that is not visible yet."""
PAGE_SIZE = 200
_STATUSES = frozenset(
    {
        "NOT_YET_PERSISTED", "BLOBS_RECEIVED", "BLOBS_DECOMPRESSED", "BLOBS_COPIED_TO_SDS",
        "INDIVIDUAL_BLOBS_COMPRESSED", "READY", "FAILED", "DELETED", "REPROCESSING",
    }
)  # fmt: skip
"""Of a dataset. A version's status is a free text in the client's types: another word tells nothing."""


@dataclass(frozen=True)
class RemoteVersion:
    """A version that Kaggle lists."""

    number: int
    notes: str
    status: str


@dataclass(frozen=True)
class There:
    """What a look found.

    Attributes:
        exists: whether Kaggle shows it; a new one is hidden for some minutes.
        status: "READY", "FAILED", ... in capitals; "" if unknown.
        private: None if Kaggle does not say it, or if nothing is there.
        current: number of the current version; None if unknown.
        versions: the listed ones; Kaggle may list none.
    """

    exists: bool
    status: str = ""
    private: bool | None = None
    current: int | None = None
    versions: tuple[RemoteVersion, ...] = ()

    def version_of(self, build_id: str) -> RemoteVersion | None:
        """Return the newest version whose notes carry a build id."""
        found = [item for item in self.versions if build_id in item.notes]
        return max(found, key=lambda item: item.number, default=None)


class Destination(Protocol):
    """A dataset, or a variation of a model."""

    @property
    def owner(self) -> str:
        """Its account."""

    @property
    def private(self) -> bool:
        """Whether only the owner may see it."""

    @property
    def id(self) -> str:
        """Its name on Kaggle: "owner/slug", and of a model "owner/model/framework/variation"."""

    @property
    def kind(self) -> Literal["dataset", "model"]:
        """What it is."""

    @property
    def blob_type(self) -> BlobType:
        """What its files are uploaded as."""

    @property
    def url(self) -> str:
        """Address of its page."""

    def look(self, wire: Wire) -> There:
        """Return what is there now."""

    def publish(self, wire: Wire, tokens: Sequence[str], build_id: str, there: There) -> None:
        """Make a version of uploaded files: one call that writes; its `CallError` passes through."""

    def listing(self, wire: Wire, version: int | None) -> list[RemoteEntry]:
        """Return all pages of the list of files of a version, of the current one if None."""

    def file_request(self, name: str, version: int | None) -> tuple[str, dict[str, Any]]:
        """Return the call that leads to a file's bytes, and its request."""


def told_private(value: Mapping[str, Any]) -> bool | None:
    """Return whether an answer about a dataset or a model calls it private; None if it does not say.

    A field with its default, false, may be left out of an answer. One that has the reference tells the
    privacy, too: `{"ref": "a/b"}` is public, `{"id": 7}` tells nothing.
    """
    private = value.get("isPrivate")
    return bool(private) if private is not None or value.get("ref") else None


def all_pages(
    wire: Wire, method: str, request: Mapping[str, Any], *, files: str, size: str
) -> list[RemoteEntry]:
    """Return a list of files, whatever number of pages Kaggle makes of it.

    Args:
        wire: to Kaggle.
        method: that lists.
        request: without what concerns pages.
        files: field of an answer with the files of a page.
        size: field of a file with its bytes.

    Raises:
        CallError: a page could not be read.
    """
    entries: list[RemoteEntry] = []
    page: dict[str, Any] = {**request, "pageSize": PAGE_SIZE}
    seen: set[str] = set()
    while True:
        value = wire.rpc(method, page).value
        for item in value.get(files) or ():
            told = item.get(size)
            entries.append(RemoteEntry(str(item.get("name")), None if told is None else int(told)))
        token = str(value.get("nextPageToken") or "")
        if not token or token in seen:
            return entries
        seen.add(token)
        page["pageToken"] = token


def _status(text: object) -> str:
    """Return the status that a text means, "" if none: "blobsReceived" gives "BLOBS_RECEIVED"."""
    letters = str(text or "").replace("_", "").upper()
    return next((status for status in _STATUSES if status.replace("_", "") == letters), "")


@dataclass(frozen=True)
class DatasetDestination:
    """A dataset of an account.

    Args:
        owner: account.
        slug: of the dataset.
        metadata: content of its dataset-metadata.json.
        private: whether only the owner may see it.
    """

    owner: str
    slug: str
    metadata: Mapping[str, Any]
    private: bool
    kind: Literal["dataset"] = "dataset"
    blob_type: Literal["DATASET"] = "DATASET"

    @property
    def id(self) -> str:
        """As `Destination`."""
        return f"{self.owner}/{self.slug}"

    @property
    def url(self) -> str:
        """As `Destination`."""
        return f"https://www.kaggle.com/datasets/{self.id}"

    @property
    def _names(self) -> dict[str, Any]:
        return {"ownerSlug": self.owner, "datasetSlug": self.slug}

    def look(self, wire: Wire) -> There:
        """As `Destination`. Only 403 and 404 mean "not there"; any other no is an error, not a free name.

        Raises:
            CallError: nobody knows what is there.
        """
        try:
            status = wire.rpc("datasets.GetDatasetStatus", self._names).value.get("status")
            value = wire.rpc("datasets.GetDataset", self._names, never_empty=True).value
        except Refused as error:
            if error.status in NOT_THERE:
                return There(exists=False)
            raise
        versions = tuple(
            RemoteVersion(
                int(item.get("versionNumber") or 0),
                str(item.get("versionNotes") or ""),
                _status(item.get("status")),
            )
            for item in value.get("versions") or ()
        )
        number = value.get("currentVersionNumber")
        return There(
            exists=True,
            status=str(status or "").upper(),
            private=told_private(value),
            current=None if number is None else int(number),
            versions=versions,
        )

    def publish(self, wire: Wire, tokens: Sequence[str], build_id: str, there: There) -> None:
        """As `Destination`: a new dataset, or a version of the one that is there."""
        about = {
            "subtitle": self.metadata.get("subtitle"),
            "description": self.metadata.get("description"),
            "categoryIds": list(self.metadata.get("keywords") or ()),
            "files": [{"token": token} for token in tokens],
        }
        about = {name: value for name, value in about.items() if value}
        if there.exists:
            body = {**about, "versionNotes": f"kit {build_id}"}
            wire.rpc("datasets.CreateDatasetVersion", {**self._names, "body": body}, writes=True)
            return
        request = {
            "ownerSlug": self.owner,
            "slug": self.slug,
            "title": self.metadata["title"],
            "licenseName": self.metadata["licenses"][0]["name"],
            "isPrivate": self.private,
            **about,
        }
        wire.rpc("datasets.CreateDataset", request, writes=True)

    def listing(self, wire: Wire, version: int | None) -> list[RemoteEntry]:
        """As `Destination`."""
        request = self._names | ({"datasetVersionNumber": version} if version else {})
        return all_pages(wire, "datasets.ListDatasetFiles", request, files="datasetFiles", size="totalBytes")

    def file_request(self, name: str, version: int | None) -> tuple[str, dict[str, Any]]:
        """As `Destination`; `raw` asks for the file itself and not for a zip of it."""
        request = {**self._names, "fileName": name, "raw": True}
        if version:
            request["datasetVersionNumber"] = version
        return "datasets.DownloadDataset", request
