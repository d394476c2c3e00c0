"""`bundle upload` under a schedule of faults: what it may meet, and whether what it says is true."""

import random

from bundle import dataset, dataset_metadata
from bundle.dataset import Content, entry_of
from tests.kaggle_server import commands
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.models import Model, Variation, models
from tests.kaggle_server.server import Server
from tests.kaggle_server.world import Dataset, Version, World, mounted

SLUG = "kit-kidney-weights"
ID = f"alice/{SLUG}"
KEY = ("pyTorch", "default")
STREAMS = ("blobs.PUT", "files.GET")
MORE = {"blobs.PUT": ("drop_midfile", "half", "range_wrong", "range_beyond", "blob_expired")}
"""Kinds that only this stream knows."""
LIMITS = ("--patience", "1", "--answer", "15", "--stall", "4", "--limit", "90", "--jobs", "1")


def calls(case):
    """The calls that a fault or a kill may strike; those that write stand twice, as most depends on them."""
    if case.endswith("model"):
        writes = ("models.CreateModel", "models.CreateModelInstance")
        if case == "version of a model":
            writes = ("models.CreateModelInstanceVersion",)
        looks = (
            "GetModel",
            "GetModelInstance",
            "ListModelInstanceVersionFiles",
            "DownloadModelInstanceVersion",
        )
        return (*(f"models.{name}" for name in looks), "blobs.StartBlobUpload", *writes, *writes)
    writes = "datasets.CreateDataset" if case == "new" else "datasets.CreateDatasetVersion"
    return (
        "datasets.GetDatasetStatus", "datasets.GetDataset", "datasets.ListDatasets",
        "datasets.ListDatasetFiles", "datasets.DownloadDataset", "blobs.StartBlobUpload", writes, writes,
    )  # fmt: skip


def surroundings(draw):
    """Draw what Kaggle is like, and nothing else."""
    return {
        "zips": draw.choice(["unpacked", "packed", "doubled"]),
        "ready_after": draw.randrange(4),
        "hidden_after_create": draw.randrange(4),
        "list_versions": draw.random() < 0.6,
    }, {}


def of_the_world(case, _settings):
    """Kind of a fault that changes the world -> arguments that it may have."""
    kinds = ["drop_file", "merge_files", "truncate_file", "md5_absent", "public_flip"]
    if not case.endswith("model"):
        # Kaggle does not tell it of a model, so a command waits until `--limit`; that has tests of its own.
        kinds.append("failed_processing")
    return {"stale": range(1, 9), **{kind: [None] for kind in kinds}}


def run(plan, folder, _made):
    """Run a schedule of an upload: "new", "version", "model" or "version of a model"; see `schedules.run`."""
    source = make_dataset(folder / "bundle", seed=plan.seed)
    with Server(World(faults=Faults(*plan.faults), **plan.world)) as server:
        _place(server.world, plan.case)
        sent = [path for path in source.iterdir() if path.name != dataset_metadata.NAME]
        wanted = mounted({path.name: path.read_bytes() for path in sent}, server.world.zips)
        kind = ("--as", "model", "--model-licence", "MIT") if plan.case.endswith("model") else ()
        command = (
            "bundle",
            "upload",
            "--bundle",
            folder / "bundle",
            "--work",
            folder / "work",
            *kind,
            *LIMITS,
        )
        ends, wrong = [], []

        def upload(kill=None):
            ends.append(commands.run(server, folder, command, kill=kill, way=plan.way))
            wrong.extend(_untrue(server, folder, wanted, ends[-1]))
            return ends[-1].code

        for kill in [*plan.kills, None]:
            upload(kill)
        # Without faults, and where a person has corrected what only a person may, the next run ends well. It
        # may first have to tell what became of the version that the last run left behind.
        server.world.faults.end()
        for _ in range(2):
            for item in (*server.world.datasets.values(), *models(server.world).values()):
                item.private = True
            if upload() == 0:
                break
        else:
            wrong.append(f"two clean runs after it ended with {ends[-1].code}: {ends[-1].err[-400:]}")
        there, _ = _kept(server.world)
        copies = [item for item in there if item.files == wanted and not item.reason]
        if len(copies) != 1:
            wrong.append(f"{len(copies)} versions hold what was sent")
    return ends, wrong


def _place(world, case):
    """Put there what a case finds there: a first version that somebody made by hand."""
    first = Version(1, "by hand", {"old.bin": b"x"})
    if case == "version":
        item = Dataset("alice", SLUG, "kit kidney weights", private=True, licence="other")
        item.versions.append(first)
        world.datasets[ID] = item
    elif case == "version of a model":
        variation = Variation("alice", KEY[1], "by hand", "MIT", [first])
        models(world)[ID] = Model(
            "alice", SLUG, "kit kidney weights", private=True, variations={KEY: variation}
        )


def _kept(world):
    """The versions that Kaggle has of the dataset or of the model's variation, and whether it is private."""
    if ID in world.datasets:
        return world.datasets[ID].versions, world.datasets[ID].private
    if ID in models(world):
        model = models(world)[ID]
        return model.variations[KEY].versions if KEY in model.variations else [], model.private
    return [], None


def make_dataset(root, *, seed=0, files=2):
    """Write a dataset as the build does: some files and an archive."""
    draw = random.Random(seed)
    names = [f"member{number}.safetensors" for number in range(files)]
    contents = []
    for name in [*names, "wheels-cp313.zip/tool-1.0+cu1-py3-none-any.whl"]:
        data = draw.randbytes(draw.randint(2_000, 60_000))
        contents.append(Content(entry=entry_of(data, name, role="weights"), source=data))
    metadata = dataset_metadata.describe(
        SLUG,
        owner="alice",
        title="kit kidney weights",
        subtitle="Trained networks for a test",
        licence="other",
        description="A test.",
    )
    dataset.write(root / SLUG, contents, metadata)
    return root / SLUG


def _untrue(server, folder, wanted, ended):
    """What is wrong with an end: above all, a success that is none."""
    versions, private = _kept(server.world)
    status = versions[-1].status if versions else None
    there = status == "READY" and versions[-1].files == wanted
    states = "".join(path.read_text() for path in folder.glob("kaggle/*.json"))
    wrong = commands.wrong_with(server, ended, states)
    said = '"verified": true' in ended.out  # perhaps just before a kill
    if (ended.code == 0 or said) and not (there and private):
        wrong.append(f"it said verified, and Kaggle holds something else ({status}, private: {private})")
    if ended.code == 2 and said:
        wrong.append("it said verified and failed")
    if ended.code == 2 and '"stage": "verified"' in states and not there:
        wrong.append("the state says verified, and it is not")
    return wrong
