"""From the command line to a plan: prepared folders, folders to prepare, flags, and forms kept in a file."""

import json
import os
import signal
from pathlib import Path

import pytest

from kit.artefacts import sha256_file, write_json
from kit.errors import KitError
from kit.local.program import run_cli
from train_local import cli, recipes
from train_local.jobs import forms, source_hash
from train_local.jobs.all_jobs import Plan, interruptible, make_executor
from train_local.jobs.checkpoint_contents import CheckpointContents
from train_local.jobs.command_options import Graph, TrainAll, flags
from train_local.jobs.executors.local import LocalExecutor
from train_local.jobs.resources import resources_of
from train_local.options import Options
from train_local.recipes import published

SAMPLE = Path(__file__).parents[3] / "sample"


@pytest.fixture(scope="module")
def place(blob_data, tmp_path_factory):
    """A folder of runs, in which the recipes' plain values are kept after the first plan."""
    return tmp_path_factory.mktemp("runs")


def test_flags_give_the_same_options_again(tmp_path):
    options = Graph(
        out=tmp_path,
        prepared=(tmp_path / "a", tmp_path / "b"),
        data=(("kidney", tmp_path / "k"), ("body", tmp_path / "b")),
        tiny=True,
        views=("identity", "hflip"),
        options=Options(device="cpu", workers=0, gpus=2, budget=7200.0),
    )
    written = flags(options)
    assert written[:4] == ["--out", str(tmp_path), "--prepared", str(tmp_path / "a")]
    assert written[-8:] == ["--device", "cpu", "--budget", "7200.0", "--gpus-per-run", "2", "--workers", "0"]
    assert flags(Graph(out=tmp_path)) == ["--out", str(tmp_path)]


def test_the_recipes_plain_values_are_kept_in_a_file_and_are_those_of_the_recipes(tmp_path):
    sources = source_hash.installed()
    made = forms.load("kidney", "semantic", sources, tiny=True, cache=tmp_path)
    assert [form.name for form in made] == [
        f"{name}-tiny" for name in recipes.names() if recipes.competition_of(name) == "kidney"
    ]
    assert forms.load("kidney", "semantic", sources, tiny=True, cache=tmp_path) == made
    [path] = tmp_path.iterdir()
    full = forms.load("kidney", "semantic", sources, tiny=False, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    for form in (*made, *full):
        assert forms.recipe_of(form.config).as_dict() == form.config
    with pytest.raises(KitError, match="no longer what it was when the plan was made"):
        forms.recipe_of({**full[0].config, "half": not full[0].config["half"]})
    assert path.is_file()


def test_forms_for_smaller_gpus_have_the_published_batch_and_are_found_again():
    sources = source_hash.installed()
    small = forms.load("vasculature", "instance", sources, tiny=False, batch_size=1, checkpointing=True)
    assert small
    for form in small:
        recipe = forms.recipe_of(form.config)
        assert recipe.as_dict() == form.config
        assert recipe.network.arguments["checkpointing"]
        while recipe is not None:
            published = recipes.get(recipe.name)
            assert (recipe.batch_size, recipe.step_examples) == (1, published.step_examples)
            recipe = recipe.earlier_stage


def test_a_plan_of_prepared_data_has_every_recipe_and_ends_in_an_ensemble(blob_data, place):
    jobs = Plan(Graph(out=place, prepared=(blob_data.root,), tiny=True), ("run",)).make()
    assert "kidney/unet-regnety16-tiny.fold1" in jobs
    assert list(jobs)[-1] == "kidney/ensemble"
    assert jobs["kidney/ensemble"].products == (place / "kidney" / "ensemble.json",)
    other = Plan(Graph(out=place, prepared=(blob_data.root,), tiny=True, dist=place / "d"), ("x",)).make()
    assert other["kidney/ensemble"].products == (place / "d" / "kidney" / "ensemble.json",)
    short = Graph(out=place, prepared=(blob_data.root,), tiny=True, options=Options(budget=60.0))
    for name, job in Plan(short, ("run",)).make().items():
        assert job.identity != jobs[name].identity, "what a budget shortened is not the published training"


def test_data_that_is_to_be_prepared_is_a_job_until_it_changes(blob_data, place, tmp_path):
    data = tmp_path / "data"
    data.symlink_to(blob_data.data)
    options = Graph(out=place, data=(("kidney", data),), work=tmp_path / "work", tiny=True)
    planner = Plan(options, ("run",))
    jobs = planner.make()
    first = jobs["kidney/prepare"]
    assert planner.provisional(jobs) == set(jobs) - {"kidney/prepare"}
    # As the job does it: prepare, then say so.
    assert cli.main(["prepare", *first.config["command"][:-1], "--scale", "1/2"]) == 0
    write_json(first.folder / "done.json", {"identity": first.identity})
    known = planner.make()
    assert planner.provisional(known) == set()
    assert known["kidney/ensemble"].identity != jobs["kidney/ensemble"].identity
    path = next(blob_data.data.rglob("*.tiff"))
    os.utime(path, (1, 1))
    assert planner.make()["kidney/prepare"].identity != first.identity
    # Prepared by hand with other options: that is not what the job makes.
    assert cli.main(["prepare", *first.config["command"][:-1], "--scale", "1/2", "--seed", "7"]) == 0
    assert not (first.folder / "done.json").exists()


def test_a_preparation_counts_by_what_its_toml_file_says_and_where_the_data_lies(place, tmp_path):
    def identity(text, data, file="a.toml"):
        (tmp_path / file).write_text(f'name = "discs"\nslug = "find-the-discs"\nlike = "kidney"\n{text}')
        (tmp_path / data).mkdir(exist_ok=True)
        where = ((str(tmp_path / file), tmp_path / data),)
        planner = Plan(Graph(out=place, data=where, work=tmp_path / "work", tiny=True), ("run",))
        return planner.make()["discs/prepare"].identity

    first = identity("", "data")
    assert identity("", "data") == identity("", "data", "b.toml") == first
    (tmp_path / "data" / ".~lock.train.csv#").touch()
    assert identity("", "data") == first, "somebody looks at a table"
    (tmp_path / "data" / "train.csv").touch()
    assert identity("", "data") != first
    (tmp_path / "data" / "train.csv").unlink()
    assert identity("[metadata]\npixel_size = 0.25\n", "data") != first
    assert identity("", "moved") != first, "prepared.json says where the images lie"


def test_results_inside_of_the_data_are_refused(place, tmp_path):
    options = Graph(out=place, data=(("kidney", tmp_path),), work=tmp_path / "work", tiny=True)
    with pytest.raises(KitError, match="results would be written into the data folder") as error:
        Plan(options, ("run",)).make()
    assert error.value.where == "--work"


def test_a_dry_run_prints_jobs_states_needs_and_published_hours(blob_data, place, capsys):
    where = ["--prepared", str(blob_data.root), "--out", str(place)]
    assert cli.main(["train-all", *where, "--dry-run"]) == 0
    told = capsys.readouterr().err
    found = [line.split() for line in told.splitlines() if line.startswith("kidney/unet-regnety16.fold0")]
    assert found[0][1:3] == ["to", "do"]
    assert "GPU hours as published" in told
    assert "0 done" in told
    assert "trainings cannot begin: the published checkpoints to start from are not there" in told
    assert "`nox -s fetch -- regnet" in told
    assert "into checkpoints/, where nox looks; elsewhere add --checkpoints DIR" in told
    assert cli.main(["train-all", *where, "--dry-run", "--tiny"]) == 0
    assert "cannot begin" not in capsys.readouterr().err
    assert cli.main(["train-all", *where, "--dry-run", "--only", "unet-regnety16", "--budget", "2h"]) == 0
    told = capsys.readouterr().err
    assert (
        "--budget fits each of the 2 trainings to 2 h 0 min, not all of them together: at most 4.0 hours"
        in told
    )


def test_published_hours_and_memory_are_those_of_the_logs_and_of_tiny_forms_nobody_knows():
    found = resources_of({"name": "detectors-x101-stage1", "stage": 1}, gpus=2)
    logged = published.cost("detectors-x101", 1)
    assert (found.gpus, found.hours) == (2, logged.gpu_hours)
    assert found.memory_gb == pytest.approx(logged.gpu_memory_mb / 1024)
    assert resources_of({"name": "detectors-x101-tiny", "stage": 2}).hours == 0


def test_an_executor_gets_its_parameters(tmp_path, capsys):
    graph = Graph(out=tmp_path, options=Options(device="cpu"))
    assert isinstance(make_executor(TrainAll(graph=graph, jobs=3), tmp_path), LocalExecutor)
    with pytest.raises(KitError, match="'gpu' is no KEY=VALUE"):
        make_executor(TrainAll(graph=graph, executor="slurm", submit=("gpu",)), tmp_path)
    with pytest.raises(KitError, match="--gpus is for --executor local, and this is ray"):
        TrainAll(graph=graph, executor="ray", machine_gpus=2)


def test_gpus_that_are_asked_for_and_not_there_are_no_reason_to_train_on_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for options in (Options(), Options(device="cpu")):
        graph = Graph(out=tmp_path, tiny=True, options=options)
        with pytest.raises(KitError, match="4 GPUs were asked for and 0 can be used") as error:
            make_executor(TrainAll(graph=graph, machine_gpus=4), tmp_path)
        assert error.value.where == "--gpus"
        assert isinstance(make_executor(TrainAll(graph=graph, machine_gpus=0), tmp_path), LocalExecutor)


def test_a_damaged_list_of_hashes_is_made_again(tmp_path):
    cache, file = tmp_path / "cache.json", tmp_path / "a.pth"
    file.write_bytes(b"weights")
    cache.write_text("[7]")
    found = CheckpointContents(tmp_path, cache).of("a", {"network": "n"}, ["a.pth"])
    assert found == sha256_file(file)
    assert json.loads(cache.read_text())[str(file)][2] == found


def test_jobs_on_the_cpu_ask_a_cluster_for_no_gpu_and_predictions_for_one(blob_data, place):
    def gpus(**options):
        graph = Graph(out=place, prepared=(blob_data.root,), tiny=True, options=Options(**options))
        return {job.resources.gpus for job in Plan(graph, ("run",)).make().values() if job.kind == "train"}

    assert gpus(device="cpu") == {0}
    assert gpus(gpus=2) == {2}


def test_below_nohup_the_end_of_the_terminal_ends_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_job_by_hand_says_what_is_missing(blob_data, place, capsys):
    where = ["--prepared", str(blob_data.root), "--out", str(place), "--tiny"]
    assert run_cli(cli.main, ["job", "kidney/ensemble", *where]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "kidney/ensemble needs kidney/unet-regnetx32-tiny.fold0" in told
    assert "run `train-all`" in told
