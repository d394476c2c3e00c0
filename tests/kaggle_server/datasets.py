"""Datasets: create, version, status, listing, download, and how each of them lies.

Faults that change the world, by `kind`, beside DAMAGES: `stale` (argument: looks), `public_flip`,
`failed_processing`, `md5_absent`, `md5_hex`, `no_store` (files come themselves and not by an address).
"""

import base64
import re
import zipfile

from tests.kaggle_server.calls import call, check
from tests.kaggle_server.world import Dataset, Problem, Reply, Version, md5, mounted

PAGE = 20
FILES = 50
DAMAGES = ("drop_file", "merge_files", "truncate_file")


@call("datasets.GetDatasetStatus", "ownerSlug", "datasetSlug")
def status(world, request):
    found = world.dataset(request["ownerSlug"], request["datasetSlug"])
    shown = _shown(world, found, "status")
    if shown.polls > 0:
        shown.polls -= 1
    return {"status": shown.status}


@call("datasets.GetDataset", "ownerSlug", "datasetSlug")
def get(world, request):
    found = world.dataset(request["ownerSlug"], request["datasetSlug"])
    shown = _shown(world, found, "version")
    value = _summary(world, found, shown)
    if world.list_versions:
        value["versions"] = [
            {
                "versionNumber": item.number,
                "versionNotes": item.notes,
                "status": world.version_word or item.status,
            }
            for item in found.versions
            if item.number <= shown.number
        ]
    return value


@call(
    "datasets.ListDatasets",
    optional=("group", "sortBy", "size", "fileType", "license", "viewed", "tagIds", "search", "user",
              "minSize", "maxSize", "page", "pageToken", "pageSize"),
)  # fmt: skip
def list_all(world, request):
    group = request.get("group", "DATASET_SELECTION_GROUP_PUBLIC")
    private = {"DATASET_SELECTION_GROUP_MY": None, "DATASET_SELECTION_GROUP_MY_PRIVATE": True}.get(
        group, False
    )
    mine = [
        item
        for item in world.datasets.values()
        if item.owner == world.name and item.versions and private in (None, item.private)
    ]
    page = int(request.get("page") or request.get("pageToken") or 1)
    size = int(request.get("pageSize") or PAGE)
    part = mine[(page - 1) * size : page * size]
    value = {"datasets": [_summary(world, item, item.versions[-1]) for item in part]}
    if page * size < len(mine):
        value["nextPageToken"] = str(page + 1)
    return value


@call(
    "datasets.ListDatasetFiles",
    "ownerSlug",
    "datasetSlug",
    optional=("datasetVersionNumber", "pageToken", "pageSize"),
)
def list_files(world, request):
    found = world.dataset(request["ownerSlug"], request["datasetSlug"])
    files = _files(world, found, request.get("datasetVersionNumber"), "listing")
    names = sorted(files)
    size = min(int(request.get("pageSize") or PAGE), 200)
    start = int(request.get("pageToken") or 0)
    part = names[start : start + size]
    ref = f"{found.owner}/{found.slug}"
    value = {
        "datasetFiles": [
            {"name": name, "ref": name, "totalBytes": len(files[name]), "datasetRef": ref} for name in part
        ]
    }
    if start + size < len(names):
        value["nextPageToken"] = str(start + size)
    return value


@call(
    "datasets.DownloadDataset",
    "ownerSlug",
    "datasetSlug",
    optional=("fileName", "datasetVersionNumber", "raw", "hashLink"),
)
def download(world, request):
    found = world.dataset(request["ownerSlug"], request["datasetSlug"])
    files = _files(world, found, request.get("datasetVersionNumber"), "download")
    name = request.get("fileName")
    if name not in files:
        raise Problem(404, f"no file {name}")
    if world.faults.of("no_store"):
        kind = "application/json" if name.endswith(".json") else "application/octet-stream"
        return Reply(200, files[name], {"Content-Type": kind})
    key = f"file{next(world.numbers)}"
    world.rooms.setdefault("files", {})[key] = files[name]
    return Reply(302, b"", {"Location": f"{{base}}/storage/{key}?X-Goog-Signature=SIGNED"})


def stored(world, path):
    """The bytes behind a signed address."""
    data = world.rooms.get("files", {}).get(re.match(r".*/storage/(\w+)", path)[1])
    if data is None:
        return Reply(404, b"no such object")
    hashes = "crc32c=AAAAAA==" + ("" if world.faults.of("md5_absent") else f",md5={md5(data)}")
    if world.faults.of("md5_hex"):
        hashes = f"md5={base64.b64decode(md5(data)).hex()}"
    return Reply(200, data, {"X-Goog-Hash": hashes, "Content-Type": "application/octet-stream"})


@call(
    "datasets.CreateDataset", "ownerSlug", "slug", "title", "licenseName",
    optional=("isPrivate", "files", "subtitle", "description", "categoryIds", "directories", "id"),
)  # fmt: skip
def create(world, request):
    name = f"{request['ownerSlug']}/{request['slug']}"
    if request["ownerSlug"] != world.name:
        raise Problem(403, "you cannot create datasets of other users")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", request["slug"]) or not 6 <= len(request["slug"]) <= 50:
        raise Problem(400, f"invalid slug {request['slug']}")
    if name in world.datasets or name in world.notebooks:
        return {"status": "Error", "error": f'The requested title "{request["title"]}" is already in use'}
    private = bool(request.get("isPrivate"))
    found = Dataset(world.name, request["slug"], request["title"], private, request["licenseName"])
    refused = _add(world, found, request.get("files", []), "Initial release")
    if refused:
        return refused
    found.hidden = world.hidden_after_create
    if world.faults.of("public_flip"):
        found.private = False
    world.datasets[name] = found
    return {"ref": f"/{name}", "url": f"https://www.kaggle.com/datasets/{name}", "status": "ok"}


@call("datasets.CreateDatasetVersion", "ownerSlug", "datasetSlug", "body")
def create_version(world, request):
    body = request["body"]
    known = {
        "versionNotes",
        "deleteOldVersions",
        "files",
        "subtitle",
        "description",
        "categoryIds",
        "directories",
    }
    check(body, {"files"}, known, "CreateDatasetVersion.body")
    name = f"{request['ownerSlug']}/{request['datasetSlug']}"
    found = world.datasets.get(name)
    if found is None or request["ownerSlug"] != world.name:
        raise Problem(403, "Permission 'datasets.update' was denied")
    refused = _add(world, found, body["files"], body.get("versionNotes", ""))
    if refused:
        return refused
    found.stale = max((fault.argument for fault in world.faults.of("stale")), default=0)
    if world.faults.of("public_flip"):
        found.private = False
    return {"ref": f"/{name}", "url": f"https://www.kaggle.com/datasets/{name}", "status": "ok"}


def _add(world, found, files, notes):
    """Add a version; returns the refusal, if it is one."""
    if not files:
        raise Problem(400, "no files")
    blobs = {}
    for item in files:
        blob = world.blobs.get(item.get("token", ""))
        if blob is None or not blob.complete:
            raise Problem(400, f"Invalid or expired upload token {item.get('token')}")
        blobs[blob.name] = bytes(blob.data)
    if len(blobs) > FILES:
        raise Problem(400, f"too many files: {len(blobs)} of {FILES}")
    total = sum(map(len, blobs.values()))
    used = sum(
        sum(map(len, item.versions[-1].files.values())) for item in world.datasets.values() if item.versions
    )
    if used + total > world.quota:
        return {"status": "Error", "error": "You have exceeded your private dataset quota"}
    version = Version(len(found.versions) + 1, notes, {}, world.ready_after)
    try:
        version.files = mounted(blobs, world.zips)
    except (Problem, zipfile.BadZipFile) as problem:
        version.reason = str(problem)
    _damage(world, version)
    if world.faults.of("failed_processing") and version.number == 1:
        version.reason = "processing failed"
    found.versions.append(version)
    return None


def _damage(world, version):
    """Change stored files without a word; the argument of a fault is the version that it strikes, or None."""
    names = sorted(version.files)
    for fault in [fault for kind in DAMAGES for fault in world.faults.of(kind)]:
        if len(names) < 2 or fault.argument not in (None, version.number):
            continue
        last = names.pop()
        if fault.kind == "truncate_file":
            version.files[last] = version.files[last][: len(version.files[last]) // 2]
        else:
            lost = version.files.pop(last)
            if fault.kind == "merge_files":
                version.files[names[-1]] += lost


def _shown(world, found, _what):
    """The version that an answer describes: the newest, or the former one as long as answers are stale."""
    if found.stale > 0 and len(found.versions) > 1:
        found.stale -= 1
        return found.versions[-2]
    return found.versions[-1]


def _files(world, found, number, what):
    if number:
        fitting = [item for item in found.versions if item.number == number]
        if not fitting:
            raise Problem(404, f"no version {number}")
        return fitting[0].files
    return _shown(world, found, what).files


def _summary(world, found, version):
    return {
        "id": 1,
        "ref": f"{found.owner}/{found.slug}",
        "title": found.title,
        "ownerRef": found.owner,
        "isPrivate": found.private,
        "licenseName": found.licence,
        "totalBytes": sum(map(len, version.files.values())),
        "currentVersionNumber": version.number,
        "url": f"https://www.kaggle.com/datasets/{found.owner}/{found.slug}",
    }
