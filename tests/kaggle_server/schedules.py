"""Random faults against whole uploads, and the server's own truth about what came of them.

A schedule is drawn from a seed: what Kaggle is like (archives unpacked or not, how late it is ready), up to
four faults, up to two kills of our process. The upload runs as a user starts it. What it says is then held
against what the server holds.
"""

import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bundle import dataset, dataset_metadata
from bundle.dataset import Content, entry_of
from tests.kaggle_server.faults import Fault, Faults
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import Dataset, Version, World, mounted

ROOT = Path(__file__).parents[2]
SLUG = "kit-kidney-weights"
ID = f"alice/{SLUG}"
CALLS = (
    "datasets.GetDatasetStatus", "datasets.GetDataset", "datasets.ListDatasets", "datasets.ListDatasetFiles",
    "datasets.DownloadDataset", "datasets.CreateDataset", "datasets.CreateDatasetVersion",
    "blobs.StartBlobUpload",
)  # fmt: skip
FILES = ("blobs.PUT", "files.GET")
LIMITS = ("--patience", "1", "--answer", "15", "--stall", "4", "--limit", "90", "--jobs", "1")


@dataclass
class Schedule:
    """What will happen; `kills` are (event, count): the process dies when an event has happened so often."""

    seed: int
    case: str
    faults: list
    kills: list
    world: dict = field(default_factory=dict)

    def __str__(self):
        parts = [f"{item.kind}@{item.at}#{item.nth}x{item.times}" for item in self.faults]
        parts += [f"kill@{event}#{count}" for event, count in self.kills]
        return f"{self.seed} {self.case} {self.world} {' '.join(parts) or 'no fault'}"


def schedule(seed):
    """Draw a schedule."""
    draw = random.Random(seed)
    case = draw.choice(["new", "version"])
    world = {
        "zips": draw.choice(["unpacked", "packed", "doubled"]),
        "ready_after": draw.randrange(4),
        "hidden_after_create": draw.randrange(4),
        "list_versions": draw.random() < 0.6,
    }
    faults = [_fault(draw) for _ in range(draw.randrange(5))]
    events = ("blobs.PUT", "blobs.StartBlobUpload", "datasets.GetDatasetStatus", "datasets.ListDatasetFiles",
              "datasets.CreateDataset" if case == "new" else "datasets.CreateDatasetVersion")  # fmt: skip
    kills = [(draw.choice(events), draw.randint(1, 3)) for _ in range(draw.choice([0, 0, 1, 1, 2]))]
    return Schedule(seed, case, faults, kills, world)


CODES = (500, 503, (503, 0), (429, 0), 429, 400, 403, 409)
KINDS = {
    "status": (*CALLS, "blobs.PUT"),
    "drop_before": (*CALLS, *FILES),
    "drop_after": (*CALLS, *FILES),
    "error_200": CALLS,
    "empty_200": CALLS,
    "html_200": CALLS,
    "hang": (*CALLS, "blobs.PUT"),
    "drop_midfile": ("blobs.PUT",),
    "half": ("blobs.PUT",),
    "range_wrong": ("blobs.PUT",),
    "range_beyond": ("blobs.PUT",),
    "blob_expired": ("blobs.PUT",),
    "truncate": FILES,
    "flip_byte": FILES,
    # These are of the whole world and not of one event.
    "stale": ("",),
    "drop_file": ("",),
    "failed_processing": ("",),
    "md5_absent": ("",),
    "public_flip": ("",),
}
"""Kind of a fault -> the events that it may strike."""


def _fault(draw):
    kind = draw.choice([*KINDS, "status"])
    nth, times = draw.randint(1, 4), draw.choice([1, 1, 2, 3])
    argument = {
        "status": draw.choice(CODES),
        "drop_midfile": draw.randint(1, 40_000),
        "half": draw.randint(1, 40_000),
        "stale": draw.randint(1, 8),
    }.get(kind)
    return Fault(kind, draw.choice(KINDS[kind]), nth, 1 if kind == "hang" else times, argument)


def run(plan, folder):
    """Run a schedule in an empty folder; return (exit codes, what was wrong with the outcome)."""
    source = make_dataset(folder / "bundle", seed=plan.seed)
    with Server(World(faults=Faults(*plan.faults), **plan.world)) as server:
        if plan.case == "version":
            item = Dataset("alice", SLUG, "kit kidney weights", private=True, licence="other")
            item.versions.append(Version(1, "by hand", {"old.bin": b"x"}))
            server.world.datasets[ID] = item
        sent = [path for path in source.iterdir() if path.name != dataset_metadata.NAME]
        wanted = mounted({path.name: path.read_bytes() for path in sent}, server.world.zips)
        codes, wrong = [], []
        for kill in [*plan.kills, None]:
            ended = _upload(server, folder, kill)
            codes.append(ended[0])
            wrong += _judge(server, folder, wanted, ended)
        # Without faults, and where a person has corrected what only a person may, the next run ends well. It
        # may first have to tell what became of the version that the last run left behind.
        server.world.faults.faults.clear()
        for _ in range(2):
            if ID in server.world.datasets:
                server.world.datasets[ID].private = True
            ended = _upload(server, folder, None)
            codes.append(ended[0])
            wrong += _judge(server, folder, wanted, ended)
            if ended[0] == 0:
                break
        else:
            wrong.append(f"two clean runs after it ended with {ended[0]}: {ended[2][-400:]}")
        there = server.world.datasets[ID].versions if ID in server.world.datasets else []
        copies = [item for item in there if item.files == wanted and not item.reason]
        if len(copies) != 1:
            wrong.append(f"{len(copies)} versions hold what was sent")
    return codes, wrong


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


def _upload(server, folder, kill):
    """Run the command; kill it when an event has happened so often more. Returns code, output, errors."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    command = [sys.executable, "-m", "bundle", "upload", "--bundle", str(folder / "bundle"), *LIMITS]
    before = server.world.faults.count(kill[0]) if kill else 0
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(
            [*command, "--work", str(folder / "work")],
            cwd=ROOT, env={**kept, **server.environment(home)}, stdout=out, stderr=err,
        )  # fmt: skip
        while process.poll() is None:
            if kill and server.world.faults.wait_for(kill[0], before + kill[1], 0.2):
                process.kill()
            elif not kill:
                process.wait()
        out.seek(0)
        err.seek(0)
        return process.wait(), out.read(), err.read()


def _judge(server, folder, wanted, ended):
    """What is wrong with an end: a success that is none, a failure without words, a secret that got out."""
    code, out, err = ended
    wrong = []
    files, status, private = server.world.live().get(ID, (None, None, None))
    states = "".join(path.read_text() for path in folder.glob("kaggle/*.json"))
    if code == 0 and not (files == wanted and status == "READY" and private):
        wrong.append(f"exit 0, and Kaggle holds something else ({status}, private: {private})")
    if code != 0 and '"verified": true' in out:
        wrong.append("it said verified and failed")
    if code not in {0, 2, -9}:
        wrong.append(f"exit code {code}: {err[-300:]}")
    if code == 2 and not ("error:" in err and "fix:" in err):
        wrong.append(f"a failure without words: {err[-300:]}")
    if code == 2 and '"stage": "verified"' in states and not (files == wanted and status == "READY"):
        wrong.append("the state says verified, and it is not")
    secrets = (server.world.key, "SIGNED", "blobtoken", "Traceback")
    return wrong + [f"{secret} got out" for secret in secrets if secret in out + err + states]
