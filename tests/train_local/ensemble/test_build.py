import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from kit.artefacts import sha256_file
from kit.errors import KitError, run_cli
from kit.local.costs import COSTS, load_with_costs
from kit.local.sidecars import read_sidecar, sidecar_path
from train_local import cli, ensemble
from train_local.ensemble.build import order_by_cost
from train_local.ensemble.trial import Trial, files_of, passes_of
from train_local.recipes.settings import Validation
from train_local.runs import WEIGHTS


@pytest.fixture(scope="module")
def runs(blobs, blob_data, tmp_path_factory):
    """Two recipes, two folds each."""
    root = tmp_path_factory.mktemp("runs")
    recipe = blobs.recipe(iterations=12, validation=Validation(every=12, unit="iteration"))
    other = replace(recipe, name="seeded", seed=5, views=("identity",))
    blobs.train_all([recipe, other], blob_data, root)
    return root


@pytest.fixture(scope="module")
def finished(blob_data, runs):
    return ensemble.find_finished_runs(blob_data, runs)


def test_members_are_the_finished_runs_with_their_files(finished):
    assert [run.member.name for run in finished] == [
        "blobs.fold0",
        "blobs.fold1",
        "seeded.fold0",
        "seeded.fold1",
    ]
    assert list(finished[0].files) == ["identity", "hflip"], "in the recipe's order"
    for run in finished:
        assert run.member.sha256 == sha256_file(run.weights)
        assert all(value > 0 for value in run.seconds_per_megapixel.values())


def test_stages_come_by_view_then_cost(finished):
    slow = [
        replace(run, seconds_per_megapixel=dict.fromkeys(run.files, 9.0 if run.recipe == "blobs" else 1.0))
        for run in finished
    ]
    assert [(stage.recipe, stage.view) for stage in order_by_cost(slow)] == [
        ("seeded", "identity"),
        ("blobs", "identity"),
        ("blobs", "hflip"),
    ]


def test_rungs_are_nested_tuned_and_end_with_all_passes(blob_data, finished, tmp_path):
    made = ensemble.build_ensemble(blob_data, finished, keep_all=True)
    assert [rung.passes for rung in made.rungs] == [1, 2, 4, 6]
    assert len(made.members) == 4
    for rung in made.rungs:
        assert 0 < rung.cv <= 1
        assert 0 < rung.settings["threshold"] < 1
    ensemble.write_ensemble(made, finished, tmp_path / "dist" / "ensemble.json")
    read = load_with_costs(tmp_path / "dist" / "ensemble.json")
    assert read == made
    for member in read.members:
        copy = tmp_path / "dist" / "weights" / member.weights
        assert read_sidecar(copy, kind="weights")["sha256"] == member.sha256


def test_equal_runs_give_the_same_bytes_whatever_their_passes_cost(blob_data, finished, tmp_path):
    for folder, factor in (("one", 1.0), ("two", 1.07)):
        seconds = {"blobs": 1.0 * factor, "seeded": 1.05 / factor}
        measured = [
            replace(run, seconds_per_megapixel=dict.fromkeys(run.files, seconds[run.recipe]))
            for run in finished
        ]
        made = ensemble.build_ensemble(blob_data, measured, keep_all=True)
        ensemble.write_ensemble(made, measured, tmp_path / folder / "ensemble.json")
        read = load_with_costs(tmp_path / folder / "ensemble.json")
        assert {item.seconds_per_megapixel for item in read.passes} == set(seconds.values())
    one, two = ((tmp_path / folder / "ensemble.json").read_bytes() for folder in ("one", "two"))
    assert one == two
    (tmp_path / "one" / COSTS).unlink()
    alone = load_with_costs(tmp_path / "one" / "ensemble.json")
    assert {item.seconds_per_megapixel for item in alone.passes} == {1.0}


def test_a_pass_that_gains_nothing_is_dropped(blob_data, finished):
    made = ensemble.build_ensemble(blob_data, finished)
    full = [rung.cv for rung in made.rungs if rung.passes > 1]
    assert full == sorted(set(full)), "every rung beats the one before"
    assert made.rungs[-1].passes == len(made.passes)
    used = {made.passes[index].member for index in range(len(made.passes))}
    assert used == set(range(len(made.members))), "no member without a pass"


def test_a_rungs_score_is_that_of_the_fused_predictions(blob_data, finished):
    made = ensemble.build_ensemble(blob_data, finished, keep_all=True)
    passes = passes_of(order_by_cost(finished), finished)
    assert [(made.members[item.member], item.view) for item in made.passes] == [
        (item.run.member, item.view) for item in passes
    ]
    assert sorted(files_of(passes)) == sorted(blob_data.images)
    rung, trial = made.rungs[-1], Trial(blob_data, finished)
    assert trial.score(passes, rung.weights, rung.settings) == rung.cv


def test_placed_weights_share_their_bytes_with_the_run(blob_data, finished, tmp_path):
    made = ensemble.build_ensemble(blob_data, finished, keep_all=True)
    ensemble.write_ensemble(made, finished, tmp_path / "ensemble.json")
    for run in finished:
        assert (tmp_path / "weights" / run.member.weights).read_bytes() == run.weights.read_bytes()


def test_runs_of_other_data_or_none_at_all_are_told(blob_data, runs, tmp_path, capsys):
    with pytest.raises(KitError, match="no finished run of this prepared data") as error:
        ensemble.find_finished_runs(blob_data, tmp_path)
    assert "train-all" in str(error.value)
    other = replace(blob_data, inputs={**blob_data.inputs, "image:aa": "0" * 64})
    with pytest.raises(KitError, match="no finished run"):
        ensemble.find_finished_runs(other, runs)
    assert "trained on other data" in " ".join(capsys.readouterr().err.split())


def test_predictions_of_other_weights_are_refused(blob_data, runs, monkeypatch):
    path = runs / "blobs" / "fold0" / "oof" / "oof.json"
    kept = path.read_text()
    value = json.loads(kept)
    try:
        path.write_text(json.dumps({**value, "weights": "0" * 64}))
        with pytest.raises(KitError, match="made by other weights"):
            ensemble.find_finished_runs(blob_data, runs)
        value["files"]["hflip"]["aa" if "aa" in value["files"]["hflip"] else "bb"] = "gone.npy"
        path.write_text(json.dumps(value))
        with pytest.raises(KitError, match="1 out-of-fold predictions are missing") as error:
            ensemble.find_finished_runs(blob_data, runs)
        assert "gone.npy" in str(error.value)
    finally:
        path.write_text(kept)


def test_weights_that_do_not_fit_their_network_end_the_command_before_the_search(
    blob_data, runs, tmp_path, capsys
):
    copy = tmp_path / "runs"
    shutil.copytree(runs, copy)
    folder = copy / "blobs" / "fold1"
    weights = folder / WEIGHTS
    state = load_file(weights)
    name = next(name for name, value in state.items() if value.ndim == 4)
    shape = tuple(state[name].shape)
    state[name] = state[name][:1].clone()
    save_file(state, weights)
    changed = {"size": weights.stat().st_size, "sha256": sha256_file(weights)}
    for path, new in (
        (sidecar_path(weights), changed),
        (folder / "oof" / "oof.json", {"weights": changed["sha256"]}),
    ):
        path.write_text(json.dumps({**json.loads(path.read_text()), **new}))
    out = tmp_path / "ensemble.json"
    command = ["ensemble", "--prepared", str(blob_data.root), "--runs", str(copy), "--out", str(out)]
    assert run_cli(cli.main, command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "the weights of blobs.fold1 do not belong to its" in said
    assert f"{name} {(1, *shape[1:])} instead of {shape}" in said
    assert not out.exists()
