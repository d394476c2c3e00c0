import json
import os
import re
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.inference.fusion import PassResult
from kit.local.competitions.labelled import LabelledData
from kit.local.costs import COSTS, load_with_costs, save_with_costs
from kit.local.forward_check import flops_per_megapixel
from kit.local.program import run_cli
from kit.local.sidecars import read_sidecar, sidecar_path
from kit.plan.hidden_run import HiddenSet
from train_local import cli, recipes
from train_local.ensemble import published_plans
from train_local.ensemble.as_published import build_as_published, views_of
from train_local.ensemble.build import build_ensemble
from train_local.ensemble.costs import costs, with_estimates
from train_local.ensemble.finished_runs import find_finished_runs
from train_local.ensemble.held_out import candidates_of
from train_local.ensemble.prices import NO_LOADING, NO_SECONDS, NO_SIZE, HiddenRun, prices_of
from train_local.ensemble.published_plans import PlannedMember
from train_local.ensemble.trial import RecipeView
from train_local.ensemble.write import LADDER, PICTURE, show_ensemble, write_ensemble
from train_local.runs import WEIGHTS
from train_local.validation.evaluate import fused, score

HIDDEN = HiddenRun(hidden=HiddenSet(images=100, megapixels=50.0), workers=2, hours=9.0)


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


def test_candidates_come_by_view_then_cost(blob_data, finished):
    slow = [
        replace(run, seconds_per_megapixel=dict.fromkeys(run.files, 9.0 if run.recipe == "blobs" else 1.0))
        for run in finished
    ]
    ids = sorted(blob_data.images)
    by_seconds = candidates_of(slow, ids, costs(blob_data, slow, "seconds"))
    assert [(item.recipe_view.recipe, item.recipe_view.view) for item in by_seconds] == [
        ("seeded", "identity"),
        ("blobs", "identity"),
        ("blobs", "hflip"),
    ]
    assert [item.cost for item in by_seconds] == [1.0, 9.0, 9.0]
    by_flops = candidates_of(slow, ids, costs(blob_data, slow, "flops"))
    assert len({item.cost for item in by_flops}) == 1, "one network, three times"
    assert by_flops[0].recipe_view.recipe == "blobs"


def test_a_model_outside_torch_costs_what_networks_do_in_its_seconds(blob_data, finished):
    own = {"network": "own", "module": "m", "class_name": "M", "kind": "semantic"}
    member = replace(finished[0].member, network=own)
    slow = {"identity": 3.0, "hflip": 3.0}
    outside = replace(finished[0], recipe="outside", member=member, seconds_per_megapixel=slow)
    networks = [replace(run, seconds_per_megapixel=dict.fromkeys(run.files, 2.0)) for run in finished]
    cost_of, view = costs(blob_data, [*networks, outside], "flops"), RecipeView("outside", "identity")
    assert cost_of(view) == pytest.approx(1.5 * cost_of(RecipeView("blobs", "identity")))
    assert costs(blob_data, [outside], "flops")(view) == 3.0
    unmeasured = replace(outside, seconds_per_megapixel={})
    assert with_estimates(blob_data, [*networks, unmeasured])[-1].seconds("identity") == 2.0


def test_seconds_that_nobody_measured_are_estimated_by_flops(blob_data, finished):
    wider = {**finished[0].member.network, "decoder_channels": [32, 16, 16]}
    unmeasured = replace(
        finished[0],
        member=replace(finished[0].member, network=wider, name="wide.fold0"),
        seconds_per_megapixel={},
    )
    known = [replace(run, seconds_per_megapixel=dict.fromkeys(run.files, 2.0)) for run in finished[1:]]
    *_, narrow, wide = with_estimates(blob_data, [*known, unmeasured])
    more = flops_per_megapixel(wide.member, "identity", (192, 256)) / flops_per_megapixel(
        narrow.member, "identity", (192, 256)
    )
    assert wide.seconds("identity") == pytest.approx(2.0 * more)
    assert wide.seconds("hflip@0.5") == pytest.approx(0.5 * more)
    assert narrow.seconds("hflip@0.5") == pytest.approx(0.5)
    assert with_estimates(blob_data, [unmeasured])[0].seconds("identity") == 1.0


def test_one_fold_of_each_recipe_view_comes_first_and_the_other_folds_last(
    blob_data, finished, tmp_path, capsys
):
    built = build_ensemble(blob_data, finished, keep_all=True)
    made = built.ensemble
    assert [len(rung.passes) for rung in made.rungs] == [1, 2, 3, 6]
    assert len(made.members) == 4
    assert {made.members[item.member].name for item in made.passes[:3]} == {"blobs.fold0", "seeded.fold0"}
    assert made.rungs[3].cv == made.rungs[2].cv, "no image tells what further folds add"
    for rung in made.rungs:
        assert 0 < rung.cv <= 1
        assert 0 < rung.settings["threshold"] < 1
    write_ensemble(
        built, finished, prices_of(built, blob_data, finished, HIDDEN), tmp_path / "dist" / "ensemble.json"
    )
    read = load_with_costs(tmp_path / "dist" / "ensemble.json")
    assert read == made
    for member in read.members:
        copy = tmp_path / "dist" / "weights" / member.weights
        assert read_sidecar(copy, kind="weights")["sha256"] == member.sha256
    ladder = json.loads((tmp_path / "dist" / LADDER).read_text())
    assert [rung["cv"] for rung in ladder["rungs"]] == [rung.cv for rung in made.rungs]
    assert [rung["tuned_on_all"] is None for rung in ladder["rungs"]] == [False, False, False, True]
    drawn = (tmp_path / "dist" / PICTURE).read_text()
    assert "<svg" in drawn
    assert "rungs by cost and score" in drawn
    show_ensemble(built, prices_of(built, blob_data, finished, HIDDEN))
    said = " ".join(capsys.readouterr().err.split())
    assert "4 held-out images (leave-one-out): differences between rungs are mostly chance" in said


def test_equal_runs_give_the_same_bytes_whatever_their_passes_cost(blob_data, finished, tmp_path):
    for folder, factor in (("one", 1.0), ("two", 30.0)):
        seconds = {"blobs": 1.0 * factor, "seeded": 1.05 / factor}
        measured = [
            replace(run, seconds_per_megapixel=dict.fromkeys(run.files, seconds[run.recipe]))
            for run in finished
        ]
        built = build_ensemble(blob_data, measured, keep_all=True)
        write_ensemble(
            built,
            measured,
            prices_of(built, blob_data, measured, HIDDEN),
            tmp_path / folder / "ensemble.json",
        )
        read = load_with_costs(tmp_path / folder / "ensemble.json")
        assert {item.seconds_per_megapixel for item in read.passes} == set(seconds.values())
    one, two = ((tmp_path / folder / "ensemble.json").read_bytes() for folder in ("one", "two"))
    assert one == two
    (tmp_path / "one" / COSTS).unlink()
    alone = load_with_costs(tmp_path / "one" / "ensemble.json")
    assert {item.seconds_per_megapixel for item in alone.passes} == {1.0}


def test_rungs_have_the_price_that_the_planner_forecasts(blob_data, finished, tmp_path, capsys):
    seconds = {"blobs": 1.0, "seeded": 4.0}
    measured = [
        replace(run, seconds_per_megapixel=dict.fromkeys(run.files, seconds[run.recipe]), load_seconds=8.0)
        for run in finished
    ]
    built = build_ensemble(blob_data, measured, keep_all=True)
    told = prices_of(built, blob_data, measured, HIDDEN)
    assert told.notes == ()
    for number, price in enumerate(told.rungs):
        assert price.path[-1] == number
        costs = [item.seconds_per_megapixel for item in built.ensemble.passes]
        owners = [item.member for item in built.ensemble.passes]
        passes = {index for rung in price.path for index in built.ensemble.rungs[rung].passes}
        work = sum(costs[index] for index in passes) * 50.0 / 2
        loading = 8.0 * len({owners[index] for index in passes}) / 2
        assert work + loading <= price.time.median
        # A rung may load a member again for another view; rows of these small images take next to nothing.
        assert price.time.median <= work + 8.0 * len(price.path) * len(passes) + 20.0
        assert 0.0 <= price.chance <= 1.0
    assert told.rungs[0].chance > 0.99
    slow = prices_of(built, blob_data, measured, replace(HIDDEN, workers=1, hours=0.02))
    assert slow.rungs[-1].time.median > 1.5 * told.rungs[-1].time.median
    assert slow.rungs[-1].chance < 0.1
    write_ensemble(built, measured, told, tmp_path / "ensemble.json")
    ladder = json.loads((tmp_path / LADDER).read_text())
    assert ladder["hidden_run"] == {
        "hidden": {"images": 100, "megapixels": 50.0},
        "workers": 2,
        "hours": 9.0,
    }
    last = ladder["rungs"][-1]["hidden_time"]
    assert last["low"] < last["median"] < last["high"]
    assert last["path"] == list(told.rungs[-1].path)
    show_ensemble(built, told)
    shown = capsys.readouterr().err
    first_cells = set(re.findall(r"^[^\w\n]*(\d+) ", shown, re.MULTILINE))
    assert first_cells == {str(number) for number in range(1, 1 + len(told.rungs))}, "rungs count from 1"
    said = " ".join(shown.split())
    assert "100 images of 50 megapixels, 2 workers" in said


def test_no_seconds_are_invented_where_nothing_was_measured_or_no_size_is_known(
    blob_data, finished, tmp_path
):
    built = build_ensemble(blob_data, finished, keep_all=True)
    guessed = [replace(run, seconds_per_megapixel={}) for run in finished]
    told = prices_of(built, blob_data, guessed, HIDDEN)
    assert (told.rungs, told.notes) == ((), (NO_SECONDS,))
    nowhere = prices_of(built, blob_data, finished, replace(HIDDEN, hidden=None))
    assert (nowhere.rungs, nowhere.notes) == ((), (NO_SIZE,))
    write_ensemble(built, finished, nowhere, tmp_path / "ensemble.json")
    ladder = json.loads((tmp_path / LADDER).read_text())
    assert NO_SIZE in ladder["notes"]
    assert {rung["hidden_time"] for rung in ladder["rungs"]} == {None}
    older = [replace(run, load_seconds=None) for run in finished]
    assert NO_LOADING in prices_of(built, blob_data, older, HIDDEN).notes


def test_a_run_says_how_long_its_weights_take_to_load(finished):
    assert all(0 < run.load_seconds < 60 for run in finished)


def test_a_pass_that_promises_nothing_is_dropped(blob_data, finished):
    built = build_ensemble(blob_data, finished)
    made = built.ensemble
    scored = [item.rung.cv for item in built.ladder.rungs if item.fitted is not None]
    assert scored == sorted(set(scored)), "every rung promises more than the one before"
    assert len(made.rungs[-1].passes) == len(made.passes)
    used = {made.passes[index].member for index in range(len(made.passes))}
    assert used == set(range(len(made.members))), "no member without a pass"


def test_the_best_subset_for_half_of_the_cost_is_a_rung_of_its_own(blob_data, finished, tmp_path, capsys):
    # "seeded" alone is far better than a view of "blobs", which comes first because it is cheaper.
    cost = {"seeded": 1.5, "blobs": 1.0}
    measured = [
        replace(run, seconds_per_megapixel=dict.fromkeys(run.files, cost[run.recipe])) for run in finished
    ]
    built = build_ensemble(blob_data, measured, cost="seconds", keep_all=True)
    [place] = [number for number, item in enumerate(built.ladder.rungs) if item.share is not None]
    found, first = built.ladder.rungs[place], built.ladder.rungs[0]
    assert (found.share, found.rung.passes, found.seconds) == (0.5, [1], 1.5)
    assert first.rung.passes == [0]
    assert found.rung.cv > first.rung.cv
    write_ensemble(built, measured, prices_of(built, blob_data, measured, HIDDEN), tmp_path / "ensemble.json")
    assert load_with_costs(tmp_path / "ensemble.json") == built.ensemble
    ladder = json.loads((tmp_path / LADDER).read_text())
    assert ladder["rungs"][place]["share"] == 0.5
    assert ladder["rungs"][place]["passes"] == [1]
    assert "best subset of a share of the cost" in (tmp_path / PICTURE).read_text()
    show_ensemble(built, prices_of(built, blob_data, finished, HIDDEN))
    assert "best of" in capsys.readouterr().err, "in the table, which breaks lines"


def test_the_fitted_score_is_that_of_the_fused_predictions(blob_data, finished):
    built = build_ensemble(blob_data, finished, keep_all=True)
    third = built.ladder.rungs[2]
    truth = LabelledData(blob_data.source, blob_data.data).truth(sorted(blob_data.images))
    shares = {
        item.recipe_view: weight
        for item, weight in zip(built.ladder.passes, third.rung.weights, strict=False)
    }
    results = {image_id: [] for image_id in truth}
    for recipe_view, weight in shares.items():
        for run in finished:
            if run.recipe == recipe_view.recipe:
                for image_id, path in run.files[recipe_view.view].items():
                    results[image_id].append(PassResult(file=path, weight=weight, member=run.member))
    predictions = fused(blob_data, results, third.rung.settings)
    assert score(blob_data, predictions, truth) == pytest.approx(third.fitted, abs=1e-6)


def test_weights_keep_the_shares_of_recipe_views_whatever_their_folds(blob_data, finished):
    built = build_ensemble(blob_data, finished, keep_all=True)
    shares = []
    for rung in (built.ladder.rungs[2].rung, built.ladder.rungs[3].rung):
        total = {}
        for item, weight in zip(built.ladder.passes, rung.weights, strict=False):
            total[item.recipe_view] = total.get(item.recipe_view, 0) + weight
        shares.append({view: weight / sum(total.values()) for view, weight in total.items()})
    assert shares[0] == pytest.approx(shares[1])


def test_a_run_on_all_images_has_its_published_place_and_no_score(blob_data, finished):
    full = [
        replace(run, files={view: {} for view in run.views}, seconds_per_megapixel={})
        if run.recipe == "seeded"
        else run
        for run in finished
        if run.member.name != "seeded.fold1"
    ]
    built = build_ensemble(blob_data, full, keep_all=True)
    alone = build_ensemble(blob_data, [run for run in finished if run.recipe == "blobs"], keep_all=True)
    names = [item.run.member.name for item in built.ladder.passes]
    assert names == ["blobs.fold0", "blobs.fold0", "seeded.fold0", "blobs.fold1", "blobs.fold1"]
    rung = built.ladder.rungs[2]
    assert rung.added == "seeded (not measured)"
    assert rung.fitted is None
    assert rung.rung.cv == alone.ladder.rungs[1].rung.cv, "the score of what was measured"
    assert any(note.startswith("seeded: no image was held out") for note in built.notes)
    with pytest.raises(KitError, match="none of the finished runs held images out") as error:
        build_ensemble(blob_data, [run for run in full if run.recipe == "seeded"])
    assert "--as-published" in str(error.value)


def as_members(runs):
    """The runs as if they were of the four published networks, whose names the plan knows."""
    names = [member.recipe for member in published_plans.KIDNEY_2ND.members]
    found = []
    for number, recipe in enumerate(names):
        of_recipe = [run for run in runs if run.recipe == ("blobs" if number % 2 else "seeded")]
        for fold, run in enumerate([*of_recipe, *of_recipe]):
            member = replace(run.member, name=f"{recipe}.fold{fold}", sha256=f"{len(found):064x}")
            found.append(replace(run, recipe=recipe, member=member))
    return found


def test_a_member_without_held_out_images_comes_where_it_was_published(blob_data, finished):
    runs = [
        replace(run, recipe=f"{run.recipe}-tiny", files={view: {} for view in run.views})
        if run.recipe == "unet-regnetx32"
        else replace(run, recipe=f"{run.recipe}-tiny")
        for run in as_members(finished)
        if run.recipe in {"unet-regnetx32", "unet-regnety16-scse", "unetplusplus-regnety16-scse"}
    ]
    built = build_ensemble(blob_data, runs, keep_all=True)
    recipe_views = list(dict.fromkeys(item.recipe_view.recipe for item in built.ladder.passes))
    assert recipe_views[1] == "unet-regnetx32-tiny", "in front of both others, but never first"
    assert built.ladder.rungs[1].fitted is None


def test_a_published_ensemble_has_its_order_views_and_settings(blob_data, finished):
    runs = as_members(finished)
    built = build_as_published(blob_data, runs, published_plans.KIDNEY_2ND)
    made = built.ensemble
    assert (len(made.members), len(made.passes), len(made.rungs)) == (16, 64, 16)
    assert [made.members[item.member].name for item in made.passes[:20:4]] == [
        "unet-regnety16.fold0",
        "unet-regnetx32.fold0",
        "unetplusplus-regnety16-scse.fold0",
        "unet-regnety16-scse.fold0",
        "unet-regnety16.fold1",
    ]
    assert [item.view for item in made.passes[:4]] == ["identity", "hflip", "rot90", "transpose"]
    assert {rung.settings["threshold"] for rung in made.rungs} == {0.55}
    assert {weight for rung in made.rungs for weight in rung.weights} == {1.0}
    assert all(0 < rung.cv < 1 for rung in made.rungs)
    assert any("one module" in note for note in built.notes)
    with pytest.raises(KitError, match=r"not trained yet: unet-regnetx32 \(3 of 4\)") as error:
        build_as_published(blob_data, runs[:4] + runs[5:], published_plans.KIDNEY_2ND)
    assert "--allow-missing" in str(error.value)
    fewer = build_as_published(blob_data, runs[:4] + runs[5:], published_plans.KIDNEY_2ND, allow_missing=True)
    assert len(fewer.ensemble.members) == 15
    assert "missing: unet-regnetx32 (3 of 4)" in fewer.notes
    with pytest.raises(KitError, match="body-1st is of body, the data is of kidney"):
        build_as_published(blob_data, runs, published_plans.BODY_1ST)


def test_a_published_ensemble_of_members_on_all_images_has_no_score(blob_data, finished, tmp_path):
    runs = [
        replace(run, files={view: {} for view in run.views}, seconds_per_megapixel={})
        for run in as_members(finished)
    ]
    made = build_as_published(blob_data, runs, published_plans.KIDNEY_2ND)
    assert {rung.cv for rung in made.ensemble.rungs} == {None}
    save_with_costs(tmp_path / "ensemble.json", made.ensemble)
    assert load_with_costs(tmp_path / "ensemble.json") == made.ensemble


def test_sizes_of_views_become_scales_and_keep_the_spelling_of_the_run(finished):
    run = replace(finished[0], member=replace(finished[0].member, inference={"size": 1400}))
    planned = PlannedMember(recipe="x", symmetries=("identity", "hflip"), sizes=(1600, 1400))
    assert views_of(planned, run) == ("identity@1.142857", "hflip@1.142857", "identity", "hflip")
    spelled = replace(run, views=("identity@1.1429", "identity"))
    assert views_of(planned, spelled)[0] == "identity@1.1429"
    together = replace(run, views=("identity+hflip+identity@1.142857+hflip@1.142857",))
    assert views_of(planned, together) == together.views


@pytest.mark.parametrize("plan", published_plans.PLANS, ids=lambda plan: plan.name)
def test_the_recipes_of_a_published_ensemble_predict_under_its_views(plan, finished):
    for planned in plan.members:
        recipe = recipes.get(planned.recipe)
        assert recipe.competition == plan.competition
        assert len(recipe.folds) == planned.runs
        member = replace(finished[0].member, inference=recipe.inference_dict())
        run = replace(finished[0], member=member, views=recipe.views)
        assert sorted(views_of(planned, run)) == sorted(recipe.views)


def test_published_ensembles_are_listed_and_unknown_ones_named(capsys, blob_data, tmp_path):
    command = ["ensemble", "--prepared", "x", "--runs", "x", "--out", "x", "--as-published"]
    assert run_cli(cli.main, [*command, "list"]) == 0
    listed = capsys.readouterr().out
    assert [line.partition(":")[0] for line in listed.splitlines()] == [
        plan.name for plan in published_plans.PLANS
    ]
    assert run_cli(cli.main, [*command, "body-3rd"]) == 2
    assert "use one of: body-1st, body-b2, kidney-2nd" in " ".join(capsys.readouterr().err.split())


def test_placed_weights_share_their_bytes_with_the_run(blob_data, finished, tmp_path):
    built = build_ensemble(blob_data, finished, keep_all=True)
    write_ensemble(built, finished, prices_of(built, blob_data, finished, HIDDEN), tmp_path / "ensemble.json")
    for run in finished:
        assert (tmp_path / "weights" / run.member.weights).read_bytes() == run.weights.read_bytes()


def test_runs_of_other_data_or_none_at_all_are_told(blob_data, runs, tmp_path, capsys):
    with pytest.raises(KitError, match="no finished run of this prepared data") as error:
        find_finished_runs(blob_data, tmp_path)
    assert "train-all" in str(error.value)
    other = replace(blob_data, inputs={**blob_data.inputs, "image:aa": "0" * 64})
    with pytest.raises(KitError, match="no finished run"):
        find_finished_runs(other, runs)
    assert "it was trained on other data: the images differ." in " ".join(capsys.readouterr().err.split())


def test_predictions_of_other_weights_are_refused(blob_data, runs, monkeypatch):
    path = runs / "blobs" / "fold0" / "oof" / "oof.json"
    kept = path.read_text()
    value = json.loads(kept)
    try:
        path.write_text(json.dumps({**value, "weights": "0" * 64}))
        with pytest.raises(KitError, match="made by other weights"):
            find_finished_runs(blob_data, runs)
        value["files"]["hflip"]["aa" if "aa" in value["files"]["hflip"] else "bb"] = "gone.npy"
        path.write_text(json.dumps(value))
        with pytest.raises(KitError, match="1 out-of-fold predictions are missing") as error:
            find_finished_runs(blob_data, runs)
        assert "gone.npy" in str(error.value)
    finally:
        path.write_text(kept)


@pytest.mark.parametrize("spoilt", ["{", "[]", "{}", '{"views": 3, "inputs": [], "recipe": {}, "step": "x"}'])
def test_a_file_of_a_run_that_is_of_another_form_is_named(blob_data, runs, tmp_path, spoilt):
    copy = tmp_path / "runs"
    for name in (f"{WEIGHTS}.json", "done.json", "oof/oof.json", "run.json"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(runs, copy, copy_function=os.link)
        path = copy / "blobs" / "fold0" / name
        path.unlink()
        path.write_text(spoilt)
        if name == "run.json":  # it is read for the views of a run that held nothing out
            oof = copy / "blobs" / "fold0" / "oof" / "oof.json"
            value = json.loads(oof.read_text())
            oof.unlink()
            oof.write_text(json.dumps({**value, "views": [], "files": {}}))
        if (name, spoilt) == ("done.json", "{}"):
            continue  # of an older version: that is a finished run
        with pytest.raises(KitError) as error:
            find_finished_runs(blob_data, copy)
        assert str(path) in str(error.value)
        assert error.value.fix


def test_weights_of_a_version_that_wrote_less_beside_them_are_named(blob_data, runs, tmp_path):
    copy = shutil.copytree(runs, tmp_path / "runs", copy_function=os.link)
    path = copy / "blobs" / "fold0" / f"{WEIGHTS}.json"
    record = json.loads(path.read_text())
    path.unlink()
    path.write_text(json.dumps({key: item for key, item in record.items() if key != "inference"}))
    with pytest.raises(KitError, match="inference") as error:
        find_finished_runs(blob_data, copy)
    assert error.value.where == str(path)


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
