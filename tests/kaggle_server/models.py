"""Models: create, variations, versions, listing, download, and how each of them lies.

`world.rooms["models"]` is a dict, "owner/model" -> Model. A kernel can attach every version.
The faults are those of datasets: `stale`, `drop_file`, `failed_processing`, `public_flip`.
"""

import re
from dataclasses import dataclass, field

from tests.kaggle_server.calls import call, check
from tests.kaggle_server.datasets import PAGE, _add, _files
from tests.kaggle_server.world import Problem, Reply

FRAMEWORKS = {"MODEL_FRAMEWORK_PY_TORCH": "pyTorch"}
LICENCES = {"Apache 2.0", "CC0: Public Domain", "MIT", "BSD-3-Clause", "GPL 3"}
VARIATION = ("ownerSlug", "modelSlug", "framework", "instanceSlug")


@dataclass
class Variation:
    owner: str
    slug: str
    overview: str
    licence: str
    versions: list = field(default_factory=list)
    stale: int = 0


@dataclass
class Model:
    owner: str
    slug: str
    title: str
    private: bool
    hidden: int = 0
    variations: dict = field(default_factory=dict)  # (framework, slug) -> Variation


def models(world):
    return world.rooms.setdefault("models", {})


@call("models.GetModel", "ownerSlug", "modelSlug")
def get(world, request):
    found = _model(world, request)
    value = {"id": 1, "ref": f"{found.owner}/{found.slug}", "title": found.title, "slug": found.slug}
    # A field with its default, false, is left out.
    return value | ({"isPrivate": True} if found.private else {})


@call(
    "models.CreateModel", "ownerSlug", "slug", "title",
    optional=("subtitle", "isPrivate", "description", "publishTime", "provenanceSources"),
)  # fmt: skip
def create(world, request):
    name = f"{request['ownerSlug']}/{request['slug']}"
    if request["ownerSlug"] != world.name:
        raise Problem(403, "you cannot create models of other users")
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", request["slug"]) or not 6 <= len(request["slug"]) <= 50:
        raise Problem(400, f"invalid slug {request['slug']}")
    if name in models(world):
        return {"error": f"The requested model {name} already exists", "errorCode": 409}
    private = bool(request.get("isPrivate")) and not world.faults.of("public_flip")
    made = Model(world.name, request["slug"], request["title"], private, world.hidden_after_create)
    models(world)[name] = made
    return {"id": 1, "ref": name, "url": f"https://www.kaggle.com/models/{name}"}


@call("models.GetModelInstance", *VARIATION)
def get_instance(world, request):
    found = _variation(world, request)
    shown = _shown(found)
    return {
        "id": 1,
        "slug": found.slug,
        "framework": request["framework"],
        "overview": found.overview,
        "licenseName": found.licence,
        "versionNumber": shown.number,
        "totalUncompressedBytes": sum(map(len, shown.files.values())),
    }


@call("models.CreateModelInstance", "ownerSlug", "modelSlug", "body")
def create_instance(world, request):
    body = request["body"]
    known = {"instanceSlug", "framework", "overview", "usage", "fineTunable", "trainingData", "files",
             "licenseName", "modelInstanceType", "baseModelInstance", "externalBaseModelUrl", "directories",
             "sigstore"}  # fmt: skip
    check(body, {"instanceSlug", "framework", "licenseName", "files"}, known, "CreateModelInstance.body")
    model = models(world).get(f"{request['ownerSlug']}/{request['modelSlug']}")
    if model is None or request["ownerSlug"] != world.name:
        raise Problem(404, "Model not found")
    if model.hidden > 0:
        raise Problem(403, "Permission 'models.update' was denied")
    if body["licenseName"] not in LICENCES:
        raise Problem(400, f"invalid license {body['licenseName']}")
    key = (_framework(body), body["instanceSlug"])
    if key in model.variations:
        return {"error": f"The variation {'/'.join(key)} already exists", "errorCode": 409}
    made = Variation(model.owner, body["instanceSlug"], body.get("overview", ""), body["licenseName"])
    return _publish(world, model, key, made, body)


@call("models.CreateModelInstanceVersion", *VARIATION, "body")
def create_version(world, request):
    body = request["body"]
    check(body, {"files"}, {"versionNotes", "files", "directories", "sigstore"}, "the version's body")
    model = models(world).get(f"{request['ownerSlug']}/{request['modelSlug']}")
    key = (_framework(request), request["instanceSlug"])
    if model is None or key not in model.variations or request["ownerSlug"] != world.name:
        raise Problem(403, "Permission 'models.update' was denied")
    return _publish(world, model, key, model.variations[key], body)


def _publish(world, model, key, variation, body):
    files = body["files"]
    kinds = {world.blobs[item["token"]].kind for item in files if item.get("token") in world.blobs}
    if kinds - {"MODEL"}:
        raise Problem(400, "these files were uploaded as a dataset")
    refused = _add(world, variation, files, body.get("versionNotes", ""))
    if refused:
        return refused
    if len(variation.versions) > 1:
        variation.stale = max((fault.argument for fault in world.faults.of("stale")), default=0)
    if world.faults.of("public_flip"):
        model.private = False
    model.variations[key] = variation
    ref = "/".join((model.owner, model.slug, *key))
    number = variation.versions[-1].number
    world.rooms.setdefault("attachable_models", set()).add(f"{ref}/{number}")
    return {"id": number, "ref": f"/{ref}/{number}", "url": f"https://www.kaggle.com/models/{ref}/{number}"}


@call("models.ListModelInstanceVersionFiles", *VARIATION, optional=("versionNumber", "pageSize", "pageToken"))
def list_files(world, request):
    found = _variation(world, request)
    files = _ready_files(world, found, request.get("versionNumber"))
    names = sorted(files)
    size, start = min(int(request.get("pageSize") or PAGE), 200), int(request.get("pageToken") or 0)
    part = names[start : start + size]
    value = {"files": [{"name": name, "size": len(files[name])} for name in part]}
    if start + size < len(names):
        value["nextPageToken"] = str(start + size)
    return value


@call("models.DownloadModelInstanceVersion", *VARIATION, "versionNumber", optional=("path",))
def download(world, request):
    files = _ready_files(world, _variation(world, request), request["versionNumber"])
    name = request.get("path")
    if name not in files:
        raise Problem(404, f"no file {name}")
    key = f"file{next(world.numbers)}"
    world.rooms.setdefault("files", {})[key] = files[name]
    return Reply(302, b"", {"Location": f"{{base}}/storage/{key}?X-Goog-Signature=SIGNED"})


def live_models(world):
    """Return "owner/model" -> (files of the newest version of its variation, private): the truth."""
    return {
        name: (variation.versions[-1].files, model.private)
        for name, model in models(world).items()
        for variation in model.variations.values()
    }


def _ready_files(world, variation, number):
    """The files of a version; none as long as it is being processed, or when that failed."""
    version = next((item for item in variation.versions if item.number == number), variation.versions[-1])
    if version.polls > 0:
        version.polls -= 1
        return {}
    return {} if version.reason else _files(world, variation, number, "listing")


def _shown(variation):
    """The version that an answer describes: the newest, or the former one as long as answers are stale."""
    if variation.stale > 0 and len(variation.versions) > 1:
        variation.stale -= 1
        return variation.versions[-2]
    return variation.versions[-1]


def _framework(request):
    if request["framework"] not in FRAMEWORKS:
        raise Problem(400, f"unknown framework {request['framework']}")
    return FRAMEWORKS[request["framework"]]


def _model(world, request):
    """A model that its owner may see now, else 403, as for one that does not exist."""
    found = models(world).get(f"{request['ownerSlug']}/{request['modelSlug']}")
    if found is None or found.hidden > 0:
        if found is not None:
            found.hidden -= 1
        raise Problem(403, "Permission 'models.get' was denied")
    return found


def _variation(world, request):
    model = _model(world, request)
    key = (_framework(request), request["instanceSlug"])
    if key not in model.variations:
        raise Problem(404, "Model instance not found")
    return model.variations[key]
