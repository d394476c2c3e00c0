"""predict.py and its notebook at published sizes: small, and with nothing the ensemble does not need."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import pytest

from benchmarks.published_ensembles import SIZES, write
from benchmarks.size import measure
from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.models import family, spec
from submission.render import render
from tests.once import once

LIMITS = {name: (1_000_000, 1_000_000) if "64" in name else (600_000, 700_000) for name in SIZES}
TRAINING_ONLY = re.compile(r"metric|baseline|truth|target_masks|checkpointing|calibration_fit|training")


@pytest.fixture(scope="module", params=SIZES)
def rendered(request, tmp_path_factory):
    size = SIZES[request.param]

    def make(folder):
        render(*write(folder, size), folder / "predict.py")

    folder = once(tmp_path_factory, f"size-{'-'.join(request.param.replace(',', '').split())}", make)
    ensemble, bundle = folder / "ensemble.json", folder / "bundle"
    script = folder / "predict.py"
    space = {"__name__": "not main"}
    exec(compile(script.read_text(), "predict.py", "exec"), space)
    return SimpleNamespace(
        size=size,
        limits=LIMITS[request.param],
        folder=folder,
        script=script,
        ensemble=ensembles.load(ensemble),
        bundle=bundle,
        parts=space["PARTS"],
    )


def test_it_is_as_small_as_promised(rendered):
    script, notebook = rendered.limits
    found = measure(rendered.script)
    assert found["**predict.py**"] == rendered.script.stat().st_size <= script
    assert rendered.script.with_suffix(".ipynb").stat().st_size <= notebook


def test_the_notebook_is_valid_and_writes_the_script(rendered):
    notebook = nbformat.read(rendered.script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[1].source == "%%writefile /tmp/predict.py\n" + rendered.script.read_text()


def test_it_holds_the_families_of_its_members_and_the_code_of_its_kind_alone(rendered):
    modules = {path for path in rendered.parts if path.endswith(".py")}
    families = {path for path in modules if path.startswith("kit/models/families/")}
    needed = {family(name).replace(".", "/") + ".py" for name in rendered.size.networks}
    assert families == {*needed, "kit/models/families/__init__.py"}
    other = "instance" if rendered.size.kind == "semantic" else "semantic"
    assert not [
        path for path in modules if f"/{other}" in path and path != "kit/inference/semantic_fusion.py"
    ]
    assert not [path for path in modules if path.startswith("kit/local/") or "server" in path]
    assert not [path for path in modules if TRAINING_ONLY.search(path)]


def test_manifests_are_excerpts_that_know_the_dataset_by_its_hash(rendered):
    wanted = {member.sha256 for member in rendered.ensemble.members}
    for name in (f"hubmap-kit-{rendered.size.competition}-{what}" for what in ("wheels", "weights")):
        text = rendered.parts[f"manifests/{name}.json"]
        whole = manifests.load(rendered.bundle / name / "manifest.json")
        found = manifests.from_dict(json.loads(text))
        assert found.sha256() == whole.sha256() == sha256_file(rendered.bundle / name / "manifest.json")
        weights = {entry.sha256 for entry in found.files if entry.role == "weights"}
        assert weights == {entry.sha256 for entry in whole.files if entry.sha256 in wanted}
        wheels = {entry.wheel.name for entry in found.files if entry.wheel}
        if name.endswith("wheels"):
            direct = {item for member in rendered.ensemble.members for item in member.requires}
            assert direct <= wheels
            assert ("timm" in wheels) == ("timm" in direct)
            kept = [replace(entry, wheel=replace(entry.wheel, licence=None)) for entry in whole.files]
            assert all(entry in found.files for entry in kept if entry.wheel.name in wheels)
        assert "config_sha256" not in text
        assert "licence" not in text


def test_the_ensemble_is_the_one_it_was_rendered_from(rendered):
    assert ensembles.from_dict(json.loads(rendered.parts["ensemble.json"])) == rendered.ensemble


def test_explained_in_a_process_of_its_own_it_names_every_member(rendered, tmp_path):
    command = [
        sys.executable,
        rendered.script,
        "--explain",
        "--input",
        tmp_path,
        "--output",
        tmp_path / "out",
    ]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert all(member.name in done.stdout for member in rendered.ensemble.members), done.stdout + done.stderr


BUILDING = """
import json, sys
from pathlib import Path

space = {"__name__": "not main"}
exec(compile(Path(sys.argv[1]).read_text(), "predict.py", "exec"), space)
parts = space["PARTS"]
importer = {"__name__": "submission.runtime.script.importer"}
exec(compile(parts["submission/runtime/script/importer.py"][1:], "importer.py", "exec"), importer)
finder = importer["EmbeddedFinder"](parts)
sys.meta_path.insert(0, finder)
sys.path_hooks.insert(0, finder.folder)
import torch
from kit import models
from kit.ensemble import from_dict
assert models.__spec__.loader is finder
with torch.device("meta"):
    for member in from_dict(json.loads(parts["ensemble.json"])).members:
        if member.name.endswith("fold0"):
            models.build(member.network)
print(json.dumps(models.names()))
"""


def test_every_members_network_is_built_of_the_embedded_modules(rendered, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", BUILDING, rendered.script]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout.splitlines()[-1])
    assert set(rendered.size.networks) <= set(known)
    assert {family(name) for name in known} == {family(name) for name in rendered.size.networks}
    assert {spec(name).kind for name in known} == {rendered.size.kind}
