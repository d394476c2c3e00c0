import json
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.program import run_cli
from train_local import cli
from train_local.recipes import document
from train_local.recipes.lookup import find
from train_local.recipes.show import shown

ROOT = Path(__file__).parents[3]
FORM = {
    "schema": None,
    "recipe": None,
    "stage": None,
    "variant": None,
    "network": {"name", "drop_path", "gradient_checkpointing"},
    "init": {"kind", "file", "from_recipe", "from_checkpoint"},
    "data": {"sets", "split", "filter_empty", "sampling", "pseudo"},
    "input": {"size", "crop", "scale_range", "keep_ratio", "pad_multiple", "normalise"},
    "augment": None,
    "batch": {"per_gpu", "gpus", "accumulate", "total"},
    "length": {"unit", "n", "steps_per_epoch"},
    "optimiser": {"name", "lr", "momentum", "weight_decay", "groups", "layer_decay"},
    "schedule": {"policy", "unit", "min_lr", "warmup"},
    "loss": None,
    "precision": {"dtype", "loss_scale_init"},
    "ema": None,
    "grad_clip": None,
    "eval": {"every", "unit", "metric", "views"},
    "checkpoint": {"used_next"},
    "seed": None,
    "test": {"sizes", "views", "score_thr", "nms_iou"},
    "deviations": None,
}


@pytest.mark.parametrize(
    "name", ["detectors-r50", "unet-regnety16", "segformer-b3_1024", "vit-adapter-l-sgd"]
)
def test_every_part_is_written_and_nothing_left_out(name):
    value = json.loads(json.dumps(shown(find(name))))
    for key, inner in FORM.items():
        assert key in value
        if inner is not None:
            assert inner <= set(value[key]) or key == "test", key
    assert value["schema"] == "train_local.show/1"


def test_show_prints_the_stage_that_was_asked_for(capsys):
    assert cli.main(["show", "detectors_r50", "--stage", "1", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["recipe"], value["stage"], value["variant"]) == ("detectors-r50", 1, "published")
    assert value["batch"] == {"per_gpu": 3, "gpus": 3, "accumulate": 1, "total": 9, "sync_bn": False}
    assert value["optimiser"]["lr"] == 0.03
    assert value["schedule"]["min_lr"] == 0.025, "absolute, no factor"
    assert value["init"]["kind"] == "coco"
    assert cli.main(["show", "detectors-r50", "--json"]) == 0
    later = json.loads(capsys.readouterr().out)
    assert later["stage"] == 2, "the last stage is the default"
    assert later["init"]["from_recipe"] == "detectors-r50/s1"
    flip = later["augment"][0]
    assert (flip["op"], flip["p"], flip["args"]["direction"]) == (
        "RandomFlip",
        0.5,
        ["horizontal", "vertical"],
    )
    shear = later["augment"][1]["choices"][0][0]
    assert shear["args"]["img_fill_val"] == 128, "the library's defaults are spelt out"


def test_a_person_sees_a_table_and_what_is_not_taken_over(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(["show", "detectors-x101", "--variant", "text"]) == 0
    told = capsys.readouterr().err
    assert "detectors-x101-text" in told
    assert "COCO segm mAP 0.5:0.95" in told


def test_diff_prints_paths_in_which_two_recipes_differ(capsys):
    assert cli.main(["diff", "detectors-x101", "detectors-x101@text", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"path": "loss.mask.weight", "values": [2.0, 4.0]}]


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (["show", "detectors-r60"], "no recipe is called 'detectors-r60'", "did you mean 'detectors-r50'"),
        (["show", "detectors-r50", "--stage", "3"], "has no stage 3", "its stages are 1, 2"),
        (["show", "unet-regnety16", "--stage", "1"], "has no stage 1", "leave --stage out"),
        (["show", "detectors-x101@txt"], "has no variant 'txt'", "it has published, text"),
        (["diff", "detectors-x101", "unet-regnety17"], "no recipe is called", "unet-regnety16"),
    ],
)
def test_a_wrong_name_is_told_with_the_near_ones(arguments, message, fix, capsys):
    assert run_cli(cli.main, arguments) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told
    assert fix in told


def test_a_stage_is_found_by_number_and_by_name():
    assert find("cbnetv2-swin-b", stage=1) == find("cbnetv2-swin-b-stage1")
    with pytest.raises(KitError, match="no stage 2"):
        find("cbnetv2-swin-b-stage1", stage=2)


def test_the_page_of_recipes_is_what_the_code_says():
    written = (ROOT / document.PAGE).read_text(encoding="utf-8")
    assert document.page() == written, "run `python -m train_local recipes --doc`"


def test_check_counts_and_ends_well_only_without_differences(capsys):
    assert cli.main(["recipes", "--check"]) == 0
    assert "different 0" in capsys.readouterr().out
