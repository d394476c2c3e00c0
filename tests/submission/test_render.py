import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from bundle import sbom
from kit import ensemble as ensembles
from kit import manifest as manifests
from kit.artefacts import sha256_bytes, sha256_file, write_json
from kit.errors import KitError
from kit.local.program import run_cli
from kit.manifest import Entry, Manifest, Wheel
from kit.requested import Requested
from submission import script_file
from submission.__main__ import main
from submission.render import relevant_manifests, render
from submission.shortening import shortened
from submission.submit.sources import read_script

ROOT = Path(__file__).parents[2]


def test_rendered_twice_in_other_circumstances_the_bytes_are_the_same(kit_of_two, tmp_path):
    for number, (seed, zone) in enumerate((("0", "UTC"), ("4711", "Asia/Tokyo"))):
        cwd = tmp_path / f"cwd{number}"
        cwd.mkdir()
        command = [sys.executable, "-m", "submission", "render", "--ensemble", kit_of_two.ensemble]
        subprocess.run(
            [
                *command,
                "--bundle",
                os.path.relpath(kit_of_two.bundle, cwd),
                "--out",
                f"dist{number}/predict.py",
            ],
            cwd=cwd,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": str(ROOT), "LC_ALL": "C"},
            check=True,
        )
    for name in ("predict.py", "predict.ipynb"):
        first, second = (tmp_path / f"cwd{n}" / f"dist{n}" / name for n in (0, 1))
        assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".py").read_bytes() == kit_of_two.script.read_bytes()


def test_it_is_code_only_and_well_below_what_kaggle_takes(kit_of_two):
    text = kit_of_two.script.read_text()
    assert len(text.encode()) < 1_000_000
    assert max(len(line) for line in text.splitlines()) < 400, "an encoded payload would show as long lines"


def test_it_answers_help_without_any_library(kit_of_two, tmp_path):
    command = [sys.executable, "-I", "-S", kit_of_two.script, "--help"]
    done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: predict.py")
    assert "\nPredict a Kaggle competition's test images offline, within a time budget.\n" in done.stdout
    options = ("--input DIR", "--output DIR", "--budget SECONDS", "--device", "--workers N", "--explain")
    assert all(option in done.stdout for option in options)
    assert "--worker " not in done.stdout, "this one is for the processes that predict.py starts"
    assert not list(tmp_path.iterdir())


def test_a_competition_with_another_limit_gets_a_script_with_another_budget(kit_of_two, tmp_path, capsys):
    out = tmp_path / "predict.py"
    own = ("--ensemble", kit_of_two.ensemble, "--bundle", kit_of_two.bundle, "--out", out)
    more = ("--budget", "16920", "--hidden-images", "650", "--hidden-megapixels", "170.4")
    assert run_cli(main, ["render", *map(str, own), *more]) == 0
    command = [sys.executable, "-I", "-S", str(out), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = " ".join(done.stdout.split())
    assert all(f"default: {value}" in shown for value in ("16920", "650", "170.4")), shown
    assert len(out.read_text().splitlines()) == len(kit_of_two.script.read_text().splitlines())
    with pytest.raises(SystemExit):
        main(["render", *map(str, own), "--budget", "-1"])
    assert "--budget" in capsys.readouterr().err


def test_the_header_names_what_to_attach_and_what_it_was_made_from(kit_of_two):
    header = kit_of_two.script.read_text().split("PARTS = {}")[0]
    manifest = sha256_file(kit_of_two.weights / "manifest.json")
    ensemble = ensembles.load(kit_of_two.ensemble)
    assert f"hubmap-kit-kidney-weights  {manifest}" in header
    assert all(member.sha256 in header for member in ensemble.members)
    assert "Submission to hubmap-kidney-segmentation" in header
    assert "python predict.py --input DIR --output DIR --budget SECONDS" in header
    assert "rung 2: 2 of 2 passes (1-2)" in header


def test_every_module_stands_in_it_with_its_code_on_its_lines(kit_of_two):
    text = kit_of_two.script.read_text()
    for path in ("kit/errors.py", "kit/inference/semantic.py", "submission/runtime/work/supervisor.py"):
        module = shortened((ROOT / path).read_text())
        assert f"PARTS[\"{path}\"] = r'''\n{module}'''\n" in text


def test_the_notebook_is_valid_and_writes_the_same_script(kit_of_two):
    notebook = nbformat.read(kit_of_two.script.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(notebook)
    _, write, run = notebook.cells
    assert write.source == "%%writefile /tmp/predict.py\n" + kit_of_two.script.read_text()
    assert run.source.startswith("!python /tmp/predict.py\n")


def test_a_bundle_without_the_members_weights_is_refused(kit_of_two, tmp_path):
    folder = tmp_path / "bundle" / "other"
    folder.mkdir(parents=True)
    manifests.save(
        folder, Manifest(dataset="other", files=[Entry(file="a", size=1, sha256="0", role="weights")])
    )
    with pytest.raises(KitError, match="the bundle has no weights of member0, member1") as caught:
        render(kit_of_two.ensemble, tmp_path / "bundle", tmp_path / "predict.py")
    assert "run `bundle build` with this ensemble.json" in str(caught.value)


def test_an_empty_bundle_is_refused(kit_of_two, tmp_path):
    with pytest.raises(KitError, match=r"no manifest\.json in this folder"):
        render(kit_of_two.ensemble, tmp_path, tmp_path / "predict.py")


def test_datasets_of_other_ensembles_are_left_out(kit_of_two, tmp_path):
    bundle = tmp_path / "bundle"
    for name, sha256, role in (("wheels", "1", "wheel"), ("foreign-weights", "2", "weights")):
        (bundle / name).mkdir(parents=True)
        manifests.save(
            bundle / name, Manifest(dataset=name, files=[Entry(file="a", size=1, sha256=sha256, role=role)])
        )
    (bundle / "weights").symlink_to(kit_of_two.weights)
    found = relevant_manifests(ensembles.load(kit_of_two.ensemble), bundle)
    assert [manifest.dataset for manifest in found] == ["hubmap-kit-kidney-weights", "wheels"]


def write_wheels(bundle, name, *competitions, alone=False):
    """A dataset of one wheel of timm that says whom it is for, as `bundle` writes it."""
    folder = bundle / name
    folder.mkdir(parents=True)
    wheel = Wheel(name="timm", version="1", tags=[], licence="", accepts="", requires={"cp313": []})
    entry = Entry(
        file=f"timm-1-{name}.whl", size=1, sha256=sha256_bytes(name.encode()), role="wheel", wheel=wheel
    )
    manifests.save(folder, Manifest(dataset=name, files=[entry]))
    (folder / "sbom.json").write_text(sbom.document(name, [entry], competitions=competitions))
    if alone:
        write_json(folder / "requested.json", Requested(asked=[], of_image=[]).as_dict())


def test_in_a_folder_of_several_competitions_only_ones_own_wheels_are_carried(kit_of_two, tmp_path):
    bundle = shutil.copytree(kit_of_two.bundle, tmp_path / "bundle")
    write_wheels(bundle, "kit-kidney-wheels", "kidney")
    write_wheels(bundle, "kit-of-both-wheels", "kidney", "vasculature")
    write_wheels(bundle, "kit-vasculature-wheels", "vasculature")
    write_wheels(bundle, "offline-wheels", alone=True)
    write_wheels(bundle, "of-an-early-version")
    render(kit_of_two.ensemble, bundle, tmp_path / "predict.py")
    assert sorted(read_script(tmp_path / "predict.py").bundle) == [
        "hubmap-kit-kidney-weights",
        "kit-kidney-wheels",
        "kit-of-both-wheels",
        "of-an-early-version",
    ]


def test_a_folder_with_nothing_for_the_competition_says_what_lies_there(kit_of_two, tmp_path):
    write_wheels(tmp_path / "bundle", "kit-vasculature-wheels", "vasculature")
    write_wheels(tmp_path / "bundle", "offline-wheels", alone=True)
    told = "none of the datasets of this folder is for kidney: kit-vasculature-wheels, offline-wheels"
    with pytest.raises(KitError, match=told):
        render(kit_of_two.ensemble, tmp_path / "bundle", tmp_path / "predict.py")


def test_two_datasets_of_one_name_are_refused(kit_of_two, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(kit_of_two.weights)
    with pytest.raises(KitError, match="two datasets of this folder have the name hubmap-kit-kidney-weights"):
        render(kit_of_two.ensemble, tmp_path, tmp_path / "predict.py")


def test_a_script_too_large_for_kaggle_is_refused_and_not_written(kit_of_two, tmp_path, monkeypatch):
    monkeypatch.setattr(script_file, "KERNEL_SOURCE_BYTES", 100_000)
    with pytest.raises(
        KitError, match=r"predict\.py would have \d+ bytes, but Kaggle takes fewer than 100000"
    ):
        render(kit_of_two.ensemble, kit_of_two.bundle, tmp_path / "predict.py")
    assert not (tmp_path / "predict.py").exists()


def test_quotes_in_a_manifest_cannot_end_the_part_that_holds_it(kit_of_two, tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "wheels").mkdir(parents=True)
    nasty = "it" + "'" * 3 + "s here"
    wheel = Wheel(name="timm", version="1", tags=[], licence="", accepts="", requires={})
    entry = Entry(file=nasty, size=1, sha256="1", role="wheel", wheel=wheel)
    manifests.save(bundle / "wheels", Manifest(dataset="wheels", files=[entry]))
    (bundle / "weights").symlink_to(kit_of_two.weights)
    render(kit_of_two.ensemble, bundle, tmp_path / "predict.py")
    space = {"__name__": "not main"}
    exec(compile((tmp_path / "predict.py").read_text(), "predict.py", "exec"), space)
    assert json.loads(space["PARTS"]["manifests/wheels.json"])["files"][0]["file"] == nasty


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (("passes", 0, "view"), "hflop", "unknown view 'hflop'"),
        (("rungs", 0, "settings"), {"treshold": 0.5}, "unknown key treshold"),
        (("rungs", 0, "settings"), {"threshold": float("nan")}, "threshold is nan"),
        (("members", 0, "inference"), {"cor": 96}, "unknown key cor"),
        (("members", 0, "network", "encodr"), "x", "unknown key encodr"),
        (("members", 0, "network"), {"network": "detectors-r50"}, "predicts instances"),
        (("members", 0, "name"), "a'''b", r"members\[0\]\.name is .*; it has to be a name of letters"),
        (("members", 0, "name"), "\ud800", r"members\[0\]\.name is"),
        (("members", 0, "inference", "batch_size"), float("inf"), "batch_size is inf"),
        (("definition",), {"like": "kidney", "x": float("nan")}, "."),
    ],
)
def test_what_a_hand_made_ensemble_gets_wrong_is_told_before_kaggle(
    place, value, problem, kit_of_two, tmp_path
):
    plan = json.loads(kit_of_two.ensemble.read_text())
    inner = plan
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (tmp_path / "ensemble.json").write_text(json.dumps(plan))
    with pytest.raises(KitError, match=problem):
        render(tmp_path / "ensemble.json", kit_of_two.bundle, tmp_path / "predict.py")
    assert not (tmp_path / "predict.py").exists()
