"""A tiny competition, an ensemble of tiny random networks and its dataset, as the real tools lay them out."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch

from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.manifest import Entry, Manifest
from kit.models import build, save_weights
from submission.render import render
from tests.namespace import in_namespace
from tests.once import once

__all__ = ["in_namespace"]

SLUG = "hubmap-kidney-segmentation"
TINY = {
    "network": "unet-regnety16",
    "encoder": "tu-regnety_002",
    "encoder_depth": 3,
    "decoder_channels": [16, 8, 8],
}
WEIGHTS = "hubmap-kit-kidney-weights"


@dataclass(frozen=True)
class Kit:
    """What a user has before going to Kaggle.

    Attributes:
        ensemble: ensemble.json.
        bundle: folder with the dataset folders.
        script: the rendered predict.py.
    """

    ensemble: Path
    bundle: Path
    script: Path

    @property
    def weights(self) -> Path:
        return self.bundle / WEIGHTS


def slide_HWC(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(90, 230, (height // 16 + 1, width // 16 + 1, 3))
    return np.kron(coarse, np.ones((16, 16, 1)))[:height, :width].astype(np.uint8)


def write_kidney(folder: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """Test part of the kidney competition with made-up tissue."""
    (folder / "test").mkdir(parents=True)
    for seed, (name, (height, width)) in enumerate(sizes.items()):
        tifffile.imwrite(folder / "test" / f"{name}.tiff", slide_HWC(seed, height, width), photometric="rgb")
    rows = "".join(f"{name},\n" for name in sizes)
    (folder / "sample_submission.csv").write_text("id,predicted\n" + rows)
    (folder / "HuBMAP-20-dataset_information.csv").write_text("image_file,width_pixels,height_pixels\n")
    return folder


def untouched(index: int, module: torch.nn.Module) -> None:
    """Leave a member's weights as they are."""


def make_kit(
    folder: Path,
    *,
    members: int = 2,
    change: Callable[[int, torch.nn.Module], None] = untouched,
    competition: str = "kidney",
    settings: dict | None = None,
    inference: dict | None = None,
    definition: dict | None = None,
    network: dict | None = None,
) -> Kit:
    """Random networks, their ladder, their dataset and predict.py; `change` may damage a member's weights."""
    weights = folder / "bundle" / WEIGHTS
    weights.mkdir(parents=True)
    listed = []
    for index in range(members):
        torch.manual_seed(index)
        path = weights / f"member{index}.safetensors"
        module = build(network or TINY)
        change(index, module)
        save_weights(module, path, {"seed": str(index)}, half=True)
        listed.append(
            Member(
                name=f"member{index}",
                weights=path.name,
                sha256=sha256_file(path),
                size=path.stat().st_size,
                network=network or TINY,
                inference={"core": 96, "context": 16, "scale": 0.5, "batch_size": 2, **(inference or {})},
                requires=list(module.spec.requires),
            )
        )
    ensemble = Ensemble(
        competition=competition if definition is None else definition["name"],
        definition=definition,
        kind="semantic",
        members=listed,
        passes=[Pass(member=index, view="identity", seconds_per_megapixel=1.0) for index in range(members)],
        rungs=[
            Rung(
                passes=list(range(n + 1)),
                weights=[1.0] * (n + 1),
                settings={"threshold": 0.5, **(settings or {})},
                cv=0.5 + n / 100,
            )
            for n in range(members)
        ],
        reserve_seconds=3.0,
        slowdown=1.2,
    )
    ensembles.save(folder / "ensemble.json", ensemble)
    entries = [
        Entry(file=path.name, size=path.stat().st_size, sha256=sha256_file(path), role="weights")
        for path in sorted(weights.glob("*.safetensors"))
    ]
    manifests.save(weights, Manifest(dataset=WEIGHTS, files=entries, targets=["cp311", "cp312", "cp313"]))
    script = folder / "dist" / "predict.py"
    render(folder / "ensemble.json", folder / "bundle", script, read_weights=change is untouched)
    return Kit(folder / "ensemble.json", folder / "bundle", script)


@dataclass(frozen=True)
class Outcome:
    code: int
    text: str
    output: Path

    @property
    def report(self) -> dict:
        return report_of(self.output)

    @property
    def csv(self) -> str:
        return (self.output / "submission.csv").read_text()


def run_script(
    script: Path | str, root: Path, output: Path, *more: str, stdin: Path | None = None
) -> Outcome:
    """Run predict.py, or what comes through a pipe when the script is "-", in a process of its own.

    One worker unless `more` says how many: each imports torch.
    """
    output.mkdir(parents=True, exist_ok=True)
    options = ["--input", str(root), "--output", str(output), "--device", "cpu", "--budget", "600"]
    options += [] if "--workers" in more else ["--workers", "1"]
    done = subprocess.run(
        [sys.executable, str(script), *options, *more],
        input=None if stdin is None else stdin.read_text(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
        cwd=output,
    )
    return Outcome(done.returncode, done.stdout, output)


def mount_all(root: Path, kit: Kit, data: Path) -> Path:
    """/kaggle/input with a competition and the weights dataset, in the present layout."""
    shutil.copytree(data, root / "competitions" / data.name)
    shutil.copytree(kit.weights, root / "datasets" / "someone" / WEIGHTS)
    return root


def report_of(output: Path) -> dict:
    """The report a run wrote."""
    return json.loads((output / "report.json").read_text())


@pytest.fixture(scope="session")
def tools():
    """The functions of this file, for tests: modules of tests cannot import one another."""
    return SimpleNamespace(
        run=run_script,
        report_of=report_of,
        mount=mount_all,
        write_kidney=write_kidney,
        make_kit=make_kit,
        slug=SLUG,
    )


@pytest.fixture(scope="session")
def kit_of_two(tmp_path_factory) -> Kit:
    """Two members, two rungs; read only, please."""
    folder = once(tmp_path_factory, "kit-of-two", make_kit)
    return Kit(folder / "ensemble.json", folder / "bundle", folder / "dist" / "predict.py")


@pytest.fixture(scope="session")
def competition(tmp_path_factory) -> Path:
    """Two small slides; read only, please."""
    sizes = {"aaa": (200, 280), "bbb": (150, 170)}
    return once(tmp_path_factory, "competition", lambda folder: write_kidney(folder / SLUG, sizes)) / SLUG


@pytest.fixture
def mount(tmp_path, kit_of_two, competition) -> Path:
    """A mount of both; yours to damage."""
    return mount_all(tmp_path / "input", kit_of_two, competition)


@pytest.fixture(scope="session")
def good_run(tmp_path_factory, kit_of_two, competition):
    """An undisturbed run with two workers."""

    def make(folder: Path) -> None:
        root = mount_all(folder / "input", kit_of_two, competition)
        made = run_script(kit_of_two.script, root, folder / "working", "--workers", "2")
        assert made.code == 0, made.text
        (folder / "text").write_text(made.text)

    folder = once(tmp_path_factory, "good-run", make)
    return Outcome(0, (folder / "text").read_text(), folder / "working")
