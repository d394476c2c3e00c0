"""What the server knows: an account, blobs, datasets with versions. Rooms of calls add their own part."""

import base64
import hashlib
import io
import itertools
import re
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.kaggle_server.faults import Faults


class Problem(Exception):  # noqa: N818 - the server's no, not a fault of it
    """A refusal: {"error": {"code": status, "message": text, "status": ...}}."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


@dataclass
class Reply:
    """An answer that is no JSON of a call: a redirect, a file."""

    status: int
    body: bytes = b""
    headers: dict = field(default_factory=dict)


@dataclass
class Blob:
    name: str
    size: int
    kind: str
    data: bytearray = field(default_factory=bytearray)
    complete: bool = False
    puts: int = 0


@dataclass
class Version:
    """`polls` counts down with each look at the status; at 0 it is READY, or FAILED with `reason`."""

    number: int
    notes: str
    files: dict  # name -> bytes, as Kaggle shows them
    polls: int = 0
    reason: str = ""

    @property
    def status(self):
        return "NOT_YET_PERSISTED" if self.polls > 0 else "FAILED" if self.reason else "READY"


@dataclass
class Dataset:
    owner: str
    slug: str
    title: str
    private: bool
    licence: str
    versions: list = field(default_factory=list)
    hidden: int = 0  # so many looks at it get 403 after it was created
    stale: int = 0  # so many looks still show the former version


@dataclass
class World:
    """The state. `ready_after`: looks until a version is ready; `zips`: "unpacked", "packed", "doubled".

    `other_form`: answers look as another server may write them: see `server.in_other_form`. `version_word`:
    what stands for the status of each version, a free text in the SDK.
    """

    name: str = "alice"
    key: str = "0123456789abcdef0123456789abcdef"
    token: str = "KGAT_0123456789abcdef0123456789abcdef"
    token_active: bool = True
    zips: str = "unpacked"
    ready_after: int = 1
    hidden_after_create: int = 1
    list_versions: bool = True
    other_form: bool = False
    version_word: str = ""
    quota: int = 200_000_000_000
    faults: Faults = field(default_factory=Faults)
    blobs: dict = field(default_factory=dict)
    datasets: dict = field(default_factory=dict)  # "owner/slug" -> Dataset
    broken: list = field(default_factory=list)  # tracebacks of what went wrong in this server itself
    notebooks: dict = field(default_factory=dict)  # "owner/slug" -> what kernels.py keeps of it
    rooms: dict = field(default_factory=dict)  # name of a room -> its own state
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: object = field(default_factory=lambda: itertools.count(1))

    def stand_still(self):
        """Wait until the server ends; the client has to give up by itself."""
        self.rooms.setdefault("hanging", threading.Event()).wait()

    def dataset(self, owner, slug):
        """A dataset that its owner may see now, else 403, as for one that does not exist."""
        found = self.datasets.get(f"{owner}/{slug}")
        if found is None or found.hidden > 0:
            if found is not None:
                found.hidden -= 1
            raise Problem(403, "Permission 'datasets.get' was denied")
        return found

    def live(self):
        """Return name -> (files of the newest version, status, private): the truth, whatever was answered."""
        return {
            name: (item.versions[-1].files, item.versions[-1].status, item.private)
            for name, item in self.datasets.items()
            if item.versions
        }


def mounted(files, zips="unpacked"):
    """What Kaggle makes of uploaded files, name -> bytes: stripped names, unpacked archives, or a Problem."""
    made = {}
    for name, data in files.items():
        if set(name) & set("@&"):
            raise Problem(400, f"File name contains invalid character: {name}")
        if name.endswith(".zip") and zips != "packed":
            folder = name.removesuffix(".zip")
            folder = f"{folder}/{folder}" if zips == "doubled" else folder
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                inside = {f"{folder}/{item}": archive.read(item) for item in archive.namelist()}
            if any(set(item) & set("@&") for item in inside):
                raise Problem(400, f"File name contains invalid character in {name}")
        else:
            inside = {name: data}
        for item, content in inside.items():
            kept = "/".join(re.sub(r"[+~=]|[^\x00-\x7f]", "", part) for part in PurePosixPath(item).parts)
            if kept in made:
                raise Problem(400, f"two files are named {kept}")
            made[kept] = bytes(content)
    return made


def md5(data):
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
