"""A model of one's own becomes finished runs that the ensemble takes; its faults are told with their line."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kit.errors import KitError
from kit.local import own_sources
from train_local.cli import main

LOCK = Path(__file__).parents[3] / "requirements.lock"
GOOD = """
from torch import nn


class Discs(nn.Module):
    kind = "semantic"
    mean, std = (190, 190, 190), (20, 20, 20)
    window, batch = 64, 4
    views = ["identity", "hflip"]

    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def forward(self, x):
        return self.layers(x)
"""


def weights(path, width=4, seed=0):
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))
    save_file({f"layers.{name}": value for name, value in layers.state_dict().items()}, path)
    return path


@pytest.fixture
def add(tmp_path, blob_data):
    """Add the text of a file with weights of two folds; returns the folder of the runs."""
    modules = set(sys.modules)
    path = list(sys.path)

    def run(text, *options, files=None, module="disc_model"):
        model = tmp_path / f"{module}.py"
        model.write_text(text)
        files = files or [
            f"{weights(tmp_path / f'{fold}.safetensors', seed=fold)}@{fold}" for fold in range(2)
        ]
        places = ("--prepared", str(blob_data.root), "--runs", str(tmp_path / "runs"), "--lock", str(LOCK))
        main(["add-model", str(model), "--weights", *files, *places, "--device", "cpu", *options])
        return tmp_path / "runs"

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("disc_model"):
            del sys.modules[name]


def ensemble(blob_data, runs, out):
    main(
        [
            "ensemble",
            "--prepared",
            str(blob_data.root),
            "--runs",
            str(runs),
            "--out",
            str(out),
            "--processes",
            "1",
        ]
    )
    return json.loads(out.read_text())


def test_runs_are_finished_and_the_ensemble_takes_them_with_their_source(add, blob_data, tmp_path, capsys):
    runs = add(GOOD, "--json")
    done = [json.loads((runs / "disc-model" / f"fold{fold}" / "done.json").read_text()) for fold in range(2)]
    assert all(item["complete"] and 0 <= item["metric"] <= 1 for item in done)
    assert [item["held_out_images"] for item in done] == [len(fold.valid) for fold in blob_data.folds]
    told = capsys.readouterr()
    assert "mean Dice" in told.err
    assert [(item["folder"], item["metric"], item["held_out_images"]) for item in json.loads(told.out)] == [
        (str(runs / "disc-model" / f"fold{fold}"), item["metric"], item["held_out_images"])
        for fold, item in enumerate(done)
    ]
    found = ensemble(blob_data, runs, tmp_path / "dist" / "ensemble.json")
    member = found["members"][0]
    assert member["network"]["network"] == "own"
    assert member["network"]["flops"] > 0
    assert member["requires"] == ["own-disc-model"]
    assert member["inference"] == {"core": 48, "context": 8, "scale": 1.0, "batch_size": 4}
    placed = tmp_path / "dist" / "models" / "disc_model.py"
    assert placed.read_text() == GOOD
    assert own_sources.digest(own_sources.files_of(placed)) == member["network"]["source"]


def test_what_was_added_before_is_added_anew_after_a_change(add, blob_data, tmp_path):
    runs = add(GOOD)
    add(GOOD.replace("std = (190", "std = (191"))
    assert list((runs / "disc-model").glob("fold0.was-*")), "the results of the earlier file are kept"
    found = ensemble(blob_data, runs, tmp_path / "dist" / "ensemble.json")
    assert found["members"][0]["network"]["mean"][0] == 191


def test_a_source_that_was_changed_behind_the_runs_back_is_refused(add, blob_data, tmp_path):
    runs = add(GOOD)
    source = runs / "disc-model" / "models" / "disc_model.py"
    source.write_text(source.read_text() + "# later\n")
    with pytest.raises(KitError, match="was changed"):
        ensemble(blob_data, runs, tmp_path / "dist" / "ensemble.json")


def test_a_model_trained_on_all_images_has_no_score(add, blob_data, tmp_path, capsys):
    runs = add(GOOD, files=[str(weights(tmp_path / "all.safetensors"))])
    assert "nobody knows its score" in capsys.readouterr().err
    found = ensemble(blob_data, runs, tmp_path / "dist" / "ensemble.json")
    assert [rung["cv"] for rung in found["rungs"]] == [None, None]
    assert "no score is known" in " ".join(capsys.readouterr().err.split())


def test_arguments_of_the_class_are_given_by_name(add, tmp_path):
    files = [f"{weights(tmp_path / 'w.safetensors', width=6)}@0"]
    runs = add(GOOD, "--set", "width=6", "--name", "wide", files=files)
    stored = json.loads((runs / "wide" / "fold0" / "weights.safetensors.json").read_text())
    assert stored["network"]["settings"] == {"width": 6}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return self.layers(x)", "return self.layers(x)[..., ::2, ::2]", "returned (2, 1, 32, 32)"),
        ("return self.layers(x)", "return self.layers(x) / 0 * 0", "not numbers"),
        ("return self.layers(x)", "return self.layers(x).relu() + 2, 1", "returned tuple"),
        ("return self.layers(x)", "return self.layers(x) - self.layers(x).mean()", "alone than in a batch"),
        ("return self.layers(x)", "return self.other(x)", "forward failed"),
        ('kind = "semantic"', 'kind, output = "semantic", "sigmoid"', "declares output 'sigmoid'"),
        ('kind = "semantic"', 'kind = "instance"', "is of kind 'instance'"),
        ('kind = "semantic"', "", "no class that says its `kind`"),
        ("    def forward(self, x):\n        return self.layers(x)\n", "", "forward failed"),
        ("from torch import nn", "from torch import nn\nimport timm", "requires timm"),
        ("from torch import nn", "from torch import nn\nraise SystemExit(3)", "import of disc_model failed"),
        ("super().__init__()", "super().__init__()\n        self.wrong = nn.Linear(2, 'x')", "failed"),
        ("width=4", "width=8", "do not belong"),
        ("width=4", "width", "cannot be made with these settings"),
        ("window, batch = 64, 4", "windows = 64", "windows is nothing"),
    ],
)
def test_a_fault_of_the_class_is_told_with_its_place(add, old, new, told):
    assert old in GOOD
    with pytest.raises(KitError) as caught:
        add(GOOD.replace(old, new))
    assert told in caught.value.problem
    assert caught.value.where
    assert caught.value.fix


def test_what_raises_names_the_user_s_line(add, tmp_path):
    with pytest.raises(KitError) as caught:
        add(GOOD.replace("return self.layers(x)", "return self.other(x)"))
    line = GOOD.splitlines().index("        return self.layers(x)") + 1
    assert caught.value.where == f"{tmp_path / 'disc_model.py'}:{line}"
    assert not list((tmp_path / "runs").glob("*/fold*")), "nothing is left of a model that does not work"


@pytest.mark.parametrize("what", ["nan", "cut", "names"])
def test_weights_that_cannot_be_loaded_are_told(add, tmp_path, what):
    path = weights(tmp_path / "w.safetensors")
    if what == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        state = {"module.layers.0.weight": torch.ones(4, 3, 3, 3)}
        if what == "nan":
            layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 1)).state_dict()
            state = {f"layers.{name}": value * float("nan") for name, value in layers.items()}
        save_file(state, path)
    with pytest.raises(KitError) as caught:
        add(GOOD, files=[f"{path}@0"])
    assert caught.value.where == str(path)
    assert caught.value.fix


def test_the_name_of_a_recipe_is_taken(add):
    with pytest.raises(KitError, match="name of a recipe"):
        add(GOOD, "--name", "unet-regnety16")


def test_two_modules_of_one_name_and_different_content_are_refused(add, blob_data, tmp_path):
    runs = add(GOOD, "--name", "one")
    files = [f"{weights(tmp_path / 'w.safetensors', seed=9)}@0"]
    add(GOOD.replace("std = (190", "std = (191"), "--name", "two", files=files)
    with pytest.raises(KitError, match="different modules called disc_model"):
        ensemble(blob_data, runs, tmp_path / "dist" / "ensemble.json")
