"""What `submission submit` needs: a rendered predict.py, what a run of it wrote, a Kaggle with both."""

import json
from dataclasses import dataclass
from pathlib import Path

from kit.artefacts import sha256_file
from tests.kaggle_server.competitions import Competition
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.world import Dataset, Version

SLUG = "hubmap-kidney-segmentation"
LOG = ["[     0.1 s] begun", "[     9.9 s] done"]


@dataclass(frozen=True)
class Made:
    """A script, the folder of its dataset, and what a run of it wrote: name -> bytes."""

    script: Path
    weights: Path
    output: dict

    @property
    def dataset(self):
        """The dataset on Kaggle."""
        return f"alice/{self.weights.name}"

    def output_on(self, accelerator):
        """The same output from a session with another machine."""
        if accelerator == "cpu":
            return dict(self.output)
        report = json.loads(self.output["report.json"])
        report["device"] = {**report["device"], "device": "cuda:0"}
        return {**self.output, "report.json": json.dumps(report).encode()}


def make(folder):
    """Make two small networks, render a predict.py for them and run it, as the tests of `submission` do."""
    from tests.submission.conftest import SLUG as NAME
    from tests.submission.conftest import make_kit, mount_all, run_script, write_kidney

    assert NAME == SLUG
    kit = make_kit(folder)
    data = write_kidney(folder / SLUG, {"aaa": (200, 280)})
    done = run_script(kit.script, mount_all(folder / "input", kit, data), folder / "working")
    assert done.code == 0, done.text
    return Made(kit.script, kit.weights, files_of(done.output))


def files_of(output):
    """The files of a run that Kaggle keeps."""
    return {path.name: path.read_bytes() for path in output.glob("*.*") if path.is_file()}


def place(world, made, state, accelerator="cpu"):
    """Put the bundle, the competition and the outcome of all runs into a world; `upload` has verified it."""
    dataset = Dataset("alice", made.weights.name, "weights", private=True, licence="other")
    files = {path.name: path.read_bytes() for path in made.weights.iterdir()}
    dataset.versions.append(Version(1, "first", files))
    world.datasets[made.dataset] = dataset
    world.rooms["competitions"] = {SLUG: Competition()}
    output = made.output_on(accelerator)
    world.rooms["run"] = lambda *_: Run(dict(output), list(LOG))
    state.mkdir(parents=True, exist_ok=True)
    verified = {
        "schema": 1,
        "kind": "dataset",
        "id": made.dataset,
        "stage": "verified",
        "version": 1,
        "fingerprint": sha256_file(made.weights / "manifest.json"),
        "times": {"verified": "2026-11-29T05:00:00Z"},
    }
    (state / f"alice.{made.weights.name}.json").write_text(json.dumps(verified))
    return dataset
