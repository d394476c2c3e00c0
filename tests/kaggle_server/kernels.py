"""Kernels: save, read back, status, log, output, and how each of them lies.

A run is done by `world.rooms["run"]`, a function (text, request) -> Run; without one it writes nothing.
Faults that change the world, by `kind`: `machine_swap`, `slug_other`, `invalid_sources` (argument: the field,
or (field, "silent")), `session_count_200`, `quota`, `public_flip`, `other_source`, `lost_output`,
`old_output`, `image_by_other_name`,
`stale_kernel` (argument: looks), `run_error` (argument: Kaggle's words), `kernel_hidden` (argument: looks).
"""

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from slugify import slugify

from tests.kaggle_server import server
from tests.kaggle_server.calls import call
from tests.kaggle_server.world import Problem, Reply

SOURCE_BYTES = 1_000_000
SESSIONS = 2
RETIRED = {"NvidiaTeslaP100": "NvidiaTeslaT4"}
SOURCES = {
    "datasetDataSources": "invalidDatasetSources",
    "modelDataSources": "invalidModelSources",
    "competitionDataSources": "invalidCompetitionSources",
    "kernelDataSources": "invalidKernelSources",
}


@dataclass
class Run:
    """What a session leaves behind."""

    files: dict = field(default_factory=dict)  # name -> bytes
    log: list = field(default_factory=list)
    status: str = "COMPLETE"
    failure: str = ""


@dataclass
class KernelVersion:
    number: int
    request: dict
    machine: str
    run: Run
    looks: int = 2  # QUEUED, RUNNING, then the end

    @property
    def status(self):
        return self.run.status if self.looks <= 0 else "RUNNING" if self.looks == 1 else "QUEUED"


@dataclass
class Notebook:
    number: int
    owner: str
    slug: str
    title: str
    kind: str
    private: bool
    versions: list = field(default_factory=list)
    hidden: int = 0
    stale: int = 0


@call(
    "kernels.SaveKernel",
    "slug",
    "newTitle",
    "text",
    "language",
    "kernelType",
    optional=(
        "id", "isPrivate", "enableGpu", "enableTpu", "enableInternet", "categoryIds", "dockerImage",
        "dockerImagePinningType", "machineShape", "sessionTimeoutSeconds", "kernelExecutionType", *SOURCES,
    ),
)  # fmt: skip
def save(world, request):
    owner = request["slug"].partition("/")[0]
    if owner != world.name:
        raise Problem(403, "Permission 'kernels.update' was denied")
    if len(request["text"].encode()) >= SOURCE_BYTES:
        raise Problem(400, "Source code is too large")
    if "private-byod" in request.get("dockerImage", ""):
        raise Problem(403, "")
    refused = _sessions(world, request)
    if refused:
        return {"error": refused}
    found = world.notebooks.get(request["slug"]) or _new(world, request)
    if found.kind != request["kernelType"]:
        raise Problem(400, "the type of a kernel cannot be changed")
    kept, invalid = _sources(world, request)
    asked = request.get("machineShape") or ("NvidiaTeslaT4" if request.get("enableGpu") else "None")
    machine = RETIRED.get(asked, asked)
    for fault in world.faults.of("machine_swap"):
        machine = fault.argument
    held = {**request, **kept}
    for _ in world.faults.of("other_source"):
        held["text"] = "print('another one')"
    run = world.rooms.get("run", lambda *_: Run())(request["text"], request)
    for fault in world.faults.of("run_error"):
        run = Run(
            {}, [*run.log, "Traceback (most recent call last):", "KeyError: 'x'"], "ERROR", fault.argument
        )
    for fault in world.faults.of("stale_kernel"):
        found.stale = fault.argument
    version = KernelVersion(len(found.versions) + 1, held, machine, run)
    found.versions.append(version)
    return {
        "ref": f"/code/{found.owner}/{found.slug}",
        "url": f"https://www.kaggle.com/code/{found.owner}/{found.slug}",
        "versionNumber": version.number,
        "kernelId": found.number,
        **invalid,
    }


def _new(world, request):
    # A new kernel has the name of its title, whatever id was asked for.
    title = request["newTitle"][:50]
    slug = slugify(title)
    if len(request["newTitle"]) < 5:
        raise Problem(400, "the title is too short")
    if world.faults.of("slug_other"):
        slug += "-1"
    name = f"{world.name}/{slug}"
    if name in world.notebooks or name in world.datasets:
        raise Problem(409, "Notebook title is already in use")
    private = bool(request.get("isPrivate")) and not world.faults.of("public_flip")
    hidden = max((fault.argument for fault in world.faults.of("kernel_hidden")), default=0)
    found = Notebook(
        next(world.numbers), world.name, slug, title, request["kernelType"], private, hidden=hidden
    )
    world.notebooks[name] = found
    return found


def _sessions(world, request):
    gpu = request.get("enableGpu") or str(request.get("machineShape")).startswith("Nvidia")
    running = [
        version
        for notebook in world.notebooks.values()
        for version in notebook.versions
        if version.looks > 0 and version.machine.startswith("Nvidia")
    ]
    if gpu and (len(running) >= SESSIONS or world.faults.of("session_count_200")):
        return f"Maximum batch GPU session count of {SESSIONS} reached."
    if gpu and world.faults.of("quota"):
        return "You have exceeded your weekly GPU quota."
    return ""


def _sources(world, request):
    """The sources that stay, and those that the answer calls invalid."""
    known = {
        "datasetDataSources": {
            name
            for name, item in world.datasets.items()
            if item.versions and item.versions[-1].status == "READY"
        },
        "modelDataSources": world.rooms.get("attachable_models", set()),
        "competitionDataSources": set(world.rooms.get("competitions", {})),
        "kernelDataSources": set(world.notebooks),
    }
    kept, invalid = {}, {}
    lost = [fault.argument for fault in world.faults.of("invalid_sources")]
    for name, answer in SOURCES.items():
        asked = list(request.get(name, []))
        kept[name] = (
            [] if name in lost or (name, "silent") in lost else [i for i in asked if i in known[name]]
        )
        if (name, "silent") not in lost and kept[name] != asked:
            invalid[answer] = [item for item in asked if item not in kept[name]]
    return kept, invalid


def _notebook(world, owner, slug):
    found = world.notebooks.get(f"{owner}/{slug}")
    if found is None or found.hidden > 0:
        if found is not None:
            found.hidden -= 1
        raise Problem(403, "Permission 'kernels.get' was denied")
    return found


def _version(found, label):
    if not label:
        return found.versions[-1]
    # A bare number is no label; the live server answers 404 for it.
    match = re.fullmatch(r"v(\d+)", label)
    if match is None or not 1 <= int(match[1]) <= len(found.versions):
        raise Problem(404, f"no version {label}")
    return found.versions[int(match[1]) - 1]


@call("kernels.GetKernel", "userName", "kernelSlug", optional=("versionLabel",))
def get(world, request):
    found = _notebook(world, request["userName"], request["kernelSlug"])
    version = _version(found, request.get("versionLabel"))
    newest = found.versions[-1].number
    if not request.get("versionLabel") and found.stale > 0 and newest > 1:
        found.stale -= 1
        version, newest = found.versions[-2], newest - 1
    asked = version.request
    ref = f"{found.owner}/{found.slug}"
    metadata = {
        "id": found.number,
        "ref": ref,
        "title": found.title,
        "author": found.owner,
        "slug": found.slug,
        "language": asked["language"],
        "kernelType": found.kind,
        "isPrivate": found.private,
        "enableGpu": version.machine.startswith("Nvidia"),
        "enableInternet": bool(asked.get("enableInternet")),
        "currentVersionNumber": newest,
        "machineShape": version.machine,
        **{name: asked[name] for name in SOURCES},
    }
    if asked.get("dockerImage"):
        metadata["dockerImage"] = asked["dockerImage"]
        if world.faults.of("image_by_other_name"):
            metadata["dockerImage"] = (
                "gcr.io/kaggle-private-byod/python@" + asked["dockerImage"].partition("@")[2]
            )
    blob = {
        "source": asked["text"],
        "language": asked["language"],
        "kernelType": found.kind,
        "slug": found.slug,
    }
    return {"metadata": metadata, "blob": blob}


@call("kernels.GetKernelSessionStatus", "userName", "kernelSlug", optional=("versionLabel",))
def status(world, request):
    version = _version(
        _notebook(world, request["userName"], request["kernelSlug"]), request.get("versionLabel")
    )
    value = {"status": version.status}
    if version.looks > 0:
        version.looks -= 1
    elif version.run.failure:
        value["failureMessage"] = version.run.failure
    return value


@call(
    "kernels.ListKernelSessionOutput",
    "userName",
    "kernelSlug",
    optional=("versionLabel", "pageSize", "pageToken"),
)
def outputs(world, request):
    found = _notebook(world, request["userName"], request["kernelSlug"])
    version = _version(found, request.get("versionLabel"))
    names = sorted(_files(world, found, version))
    size, start = min(int(request.get("pageSize") or 20), 2), int(request.get("pageToken") or 0)
    part = names[start : start + size]
    value = {"files": [{"fileName": name, "url": f"{{base}}/storage/{name}?signed=1"} for name in part]}
    if start + size < len(names):
        value["nextPageToken"] = str(start + size)
    if not start:
        value["log"] = json.dumps([{"stream_name": "stdout", "data": line} for line in version.run.log])
    return value


def _files(world, found, version):
    files = dict(version.run.files)
    for fault in world.faults.of("lost_output"):
        files.pop(fault.argument, None)
    if world.faults.of("old_output") and len(found.versions) > 1:
        files = dict(found.versions[0].run.files)
    return files


@call("kernels.DownloadKernelOutput", "ownerSlug", "kernelSlug", optional=("filePath", "versionNumber"))
def download(world, request):
    found = _notebook(world, request["ownerSlug"], request["kernelSlug"])
    number = request.get("versionNumber")
    version = _version(found, f"v{number}" if number else "")
    files = _files(world, found, version)
    if request.get("filePath") not in files:
        raise Problem(404, f"no file {request.get('filePath')}")
    key = f"file{next(world.numbers)}"
    world.rooms.setdefault("files", {})[key] = files[request["filePath"]]
    return Reply(302, b"", {"Location": f"{{base}}/storage/{key}?X-Goog-Signature=SIGNED"})


@call("kernels.GetAcceleratorQuotaStatistics")
def quota(world, request):
    used = world.rooms.get("gpu_hours", 1.5)
    gpu = {"timeUsed": f"{used * 3600:.3f}s", "totalTimeAllowed": "108000s"}
    return {"gpuQuota": gpu, "quotaRefreshTime": "2026-12-05T00:00:00Z"}


def log_stream(world, path, query):
    """The log as server-sent events, as long as a run goes on as afterwards."""
    owner, slug = path.removeprefix("kernels/logs/stream/").split("/")
    label = parse_qs(query).get("versionLabel", [""])[0]
    with world.lock:
        version = _version(_notebook(world, owner, slug), label)
    events = [
        json.dumps({"stream_name": "stdout", "time": 1.0, "data": line + "\n"}) for line in version.run.log
    ]
    body = "".join(f"data: {event}\n\n" for event in [*events, "END_OF_LOG"])
    return Reply(200, body.encode(), {"Content-Type": "text/event-stream"})


server.GETS["kernels/logs/stream/"] = log_stream
