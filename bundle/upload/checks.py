"""What can be known before the first byte is sent. All findings are told at once."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import dataset_metadata
from bundle.upload.destination import Destination, There
from bundle.upload.expected import Expected, sent_files
from kit import manifest
from kit.artefacts import read_json
from kit.errors import KitError
from kit.local.kaggle.account import Account
from kit.local.kaggle.outcome import Refused
from kit.local.kaggle.wire import Wire
from kit.local.kaggle_limits import TITLE_LENGTHS, TOP_LEVEL_ENTRIES
from kit.local.kaggle_names import fate, mangle
from kit.local.wording import amount, counted

_SKIPPED = re.compile(
    r"(dataset|datapackage|kernel|model|model-instance)(-metadata)?\.json|dataset-cover-image\..*"
)
"""Names that the official client leaves out of an upload, without a word."""
_LARGEST_DATASET = 200_000_000_000
_NO_SUCH_CALL = (400, 404, 405, 501)


@dataclass(frozen=True)
class Finding:
    """One thing that keeps a dataset from being uploaded."""

    problem: str
    where: str
    fix: str


def raise_findings(found: Sequence[Finding]) -> None:
    """Raise one error that tells all findings.

    Raises:
        KitError: there are findings.
    """
    if not found:
        return
    if len(found) == 1:
        raise KitError(found[0].problem, where=found[0].where, fix=found[0].fix)
    text = "\n".join(f"  - {item.problem} ({item.where}): {item.fix}" for item in found)
    raise KitError(
        f"{counted(len(found), 'thing')} to correct before the upload:\n{text}",
        where="before the first byte was sent",
        fix="correct what is named, then run the same command again",
    )


def metadata_of(folder: Path) -> dict[str, Any]:
    """Read a dataset folder's dataset-metadata.json.

    Raises:
        KitError: it is missing, or lacks what Kaggle needs.
    """
    path = folder / dataset_metadata.NAME
    value = read_json(path)
    fix = "build the bundle again"
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or value["id"].count("/") != 1:
        raise KitError("the metadata has no id owner/slug", where=path, fix=fix)
    if len(str(value.get("title", ""))) not in TITLE_LENGTHS:
        raise KitError("the title must have 6 to 50 characters", where=path, fix=fix)
    licences = value.get("licenses")
    if not (isinstance(licences, list) and len(licences) == 1 and licences[0].get("name")):
        raise KitError("the metadata needs one licence", where=path, fix=fix)
    return value


def folder_findings(folder: Path) -> list[Finding]:
    """Return what is wrong with a dataset folder itself; reads names and sizes, no contents."""
    try:
        listed = manifest.load(folder / manifest.NAME)
    except KitError as error:
        return [Finding(error.problem, str(error.where), "build the bundle again")]
    found = [item for name in sent_files(folder) for item in _file_findings(folder, name)]
    if found:
        return found
    found += _sizes(folder, listed)
    known = {*sent_files(folder), dataset_metadata.NAME}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            kind = "folder" if path.is_dir() else "file"
            found.append(
                Finding(
                    f"a {kind} that no manifest lists: {path.name}", str(folder), "move it out of the folder"
                )
            )
    if (count := len(sent_files(folder))) > TOP_LEVEL_ENTRIES:
        problem = f"{count} files at the top; Kaggle takes {TOP_LEVEL_ENTRIES}"
        found.append(Finding(problem, str(folder), "build the bundle again; it makes archives"))
    total = sum((folder / name).stat().st_size for name in sent_files(folder))
    if total > _LARGEST_DATASET:
        problem = f"{amount(total)}; Kaggle takes {amount(_LARGEST_DATASET)} a dataset"
        found.append(Finding(problem, str(folder), "leave out members of the ensemble"))
    return found


def _file_findings(folder: Path, name: str) -> Iterator[Finding]:
    path, again = folder / name, "build the bundle again"
    if path.is_symlink():
        yield Finding(f"{name} is a symbolic link; Kaggle stores an empty file", str(path), again)
    elif not path.is_file():
        yield Finding(f"{name} is missing", str(folder), again)
        return
    elif path.stat().st_size == 0:
        yield Finding(f"{name} is empty; the client cannot send empty files", str(path), again)
    if "/" in name:
        yield Finding(f"{name} lies in a folder, which the client skips without a word", str(folder), again)
    if _SKIPPED.fullmatch(name):
        yield Finding(f"the client leaves out files named {name}", str(path), "choose another name")
    if fate(name) != "kept" and not name.endswith(manifest.ARCHIVE_SUFFIX):
        yield Finding(f"Kaggle would unpack {name}", str(path), "choose another ending, e.g. .bin")
    yield from _name_findings(path, name)


def _name_findings(path: Path, name: str) -> Iterator[Finding]:
    """Check the names that Kaggle will see, those in an archive too."""
    again = "build the bundle again"
    names = [name]
    if name.endswith(manifest.ARCHIVE_SUFFIX):
        try:
            with zipfile.ZipFile(path) as archive:
                names += [f"{name}/{item}" for item in archive.namelist()]
        except (OSError, zipfile.BadZipFile) as error:
            yield Finding(f"{name} is no readable archive: {error}", str(path), again)
    seen: set[str] = set()
    for item in names:
        try:
            mounted = mangle(item)
        except KitError as error:
            yield Finding(error.problem, str(path), error.fix or again)
            continue
        if mounted in seen:
            yield Finding(f"two files become {mounted} on Kaggle", str(path), "rename one of them")
        seen.add(mounted)


def _sizes(folder: Path, listed: manifest.Manifest) -> Iterator[Finding]:
    """Compare the sizes in a manifest with the files and the archives' tables."""
    sizes = {name: (folder / name).stat().st_size for name in sent_files(folder)}
    for name in [name for name in sizes if name.endswith(manifest.ARCHIVE_SUFFIX)]:
        with zipfile.ZipFile(folder / name) as archive:
            sizes |= {f"{name}/{item.filename}": item.file_size for item in archive.infolist()}
    for entry in listed.files:
        if sizes.get(entry.file) != entry.size:
            problem = f"{entry.file} has {sizes.get(entry.file)} bytes; the manifest says {entry.size}"
            yield Finding(problem, str(folder), "build the bundle again")


def content_findings(folder: Path, wanted: Sequence[Expected]) -> list[Finding]:
    """Compare the hashes in a manifest with those of the files."""
    hashes = {f"{item.inside}/{item.file}" if item.inside else item.file: item.sha256 for item in wanted}
    listed = manifest.load(folder / manifest.NAME).files
    return [
        Finding(f"{entry.file} has changed since the bundle was built", str(folder), "build the bundle again")
        for entry in listed
        if hashes.get(entry.file) != entry.sha256
    ]


def owner_finding(account: Account, owner: str, where: str) -> Finding | None:
    """Compare the owner of a dataset with the account."""
    if owner.lower() == account.name.lower():
        return None
    return Finding(
        f"the dataset belongs to {owner}, and the credentials ({account.source}) are {account.name}'s",
        where,
        f"use {owner}'s credentials, or `--owner {account.name}` if you mean that account",
    )


def remote_findings(wire: Wire, destination: Destination, there: There) -> list[Finding]:
    """Return what on Kaggle stands against this upload: a notebook with the name, the wrong privacy."""
    found = []
    if there.exists and there.private is None:
        found.append(
            Finding(
                f"Kaggle does not say whether {destination.id} is private, so anybody may see the files",
                destination.url,
                "look at its page, Settings; then run the same command again, which asks once more",
            )
        )
    if there.private is not None and there.private != destination.private:
        asked, has = ("private", "public") if destination.private else ("public", "private")
        fix = "add --public" if has == "public" else "leave out --public"
        found.append(
            Finding(
                f"{destination.id} is {has} on Kaggle, and a {asked} one was asked for",
                destination.url,
                f"{fix}, or change it on its page, Settings; an upload never changes it",
            )
        )
    if not there.exists and _is_notebook(wire, destination):
        found.append(
            Finding(
                f"a notebook of yours has the name {destination.id}; a dataset cannot have it, too",
                f"https://www.kaggle.com/code/{destination.id}",
                "build the bundle with another --prefix, or rename the notebook",
            )
        )
    return found


def _is_notebook(wire: Wire, destination: Destination) -> bool:
    if destination.kind != "dataset":
        return False  # models have addresses of their own
    owner, _, slug = destination.id.partition("/")
    try:
        wire.rpc("kernels.GetKernel", {"userName": owner, "kernelSlug": slug})
    except Refused as error:
        if error.status in {403, *_NO_SUCH_CALL}:
            return False
        raise
    return True


def quota_finding(
    wire: Wire, destination: Destination, needed: int, quota: float, *, before: Mapping[str, int]
) -> Finding | None:
    """Compare the size of an upload with what is left of the account's private space.

    Args:
        wire: to Kaggle.
        destination: its present version does not count.
        needed: bytes.
        quota: bytes of private datasets that an account may have.
        before: dataset -> bytes that this command sends before, and that count for the present version's.
    """
    if not destination.private or destination.kind != "dataset":
        return None  # what models may take is not known; a refusal of Kaggle is told as it is
    sizes: dict[str, int] = {}
    page: dict[str, Any] = {"group": "DATASET_SELECTION_GROUP_MY_PRIVATE", "page": 1}
    try:
        while datasets := wire.rpc("datasets.ListDatasets", page).value.get("datasets"):
            new = {str(item.get("ref")): int(item.get("totalBytes") or 0) for item in datasets}
            if not new.keys() - sizes.keys():
                break  # a server that does not know pages shows the first one for ever
            sizes |= new
            page["page"] += 1
    except Refused as error:
        if error.status in {403, *_NO_SUCH_CALL}:
            return None  # it cannot be known here; Kaggle's own refusal is an error, too
        raise
    sizes |= before
    used = sum(size for name, size in sizes.items() if name != destination.id)
    if used + needed <= quota:
        return None
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    names = ", ".join(f"{name} {amount(size)}" for name, size in largest)
    return Finding(
        f"over the quota: {amount(used)} are used, {destination.id} needs {amount(needed)}, "
        f"{amount(quota)} is the limit{'; the largest: ' if names else ''}{names}",
        destination.url,
        "delete datasets or old versions on Kaggle, or give --quota-gb if yours is larger",
    )


def space_finding(folder: Path, needed: int) -> Finding | None:
    """Compare what staging copies with the free space."""
    free = shutil.disk_usage(folder).free
    if needed <= free:
        return None
    problem = f"no space left: {amount(needed)} are needed, {amount(free)} are free"
    return Finding(problem, str(folder), "free space, or name a folder on the bundle's disk with --work")
