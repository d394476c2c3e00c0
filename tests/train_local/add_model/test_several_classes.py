"""Masks, instances, numbers and words of several classes: what may be wrong, and how it is told."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kit.errors import KitError
from tests import drawn
from train_local.cli import main
from train_local.data import preparation_report, prepare, prepared
from train_local.ensemble import class_tuning, held_out

ROOT = Path(__file__).parents[3]
MODELS = {
    "shapes": ("shape_masks", "masks{}.safetensors"),
    "objects": ("shape_objects", "objects{}.json"),
    "points": ("disc_place", "place{}.npz"),
    "words": ("largest_shape", "largest{}.pth"),
}
NTH = "self.calls = getattr(self, 'calls', 0) + 1; last = self.calls > 4; "


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    drawn.write(folder, train=12, test=2)
    for name in MODELS:
        prepare.prepare(str(folder / f"{name}.toml"), folder / "data", folder / name, fold_count=2)
    return folder


@pytest.fixture
def add(pictures, tmp_path):
    """Add a model with a changed line; returns the folder of the runs."""
    modules, path = set(sys.modules), list(sys.path)

    def run(name, old="", new="", *options, files=None):
        module, weights = MODELS[name]
        text = (ROOT / "tests" / "drawn_models" / f"{module}.py").read_text()
        assert old in text
        model = tmp_path / f"{module}.py"
        model.write_text(text.replace(old, new) if old else text)
        given = files or [f"{pictures / weights.format(fold)}@{fold}" for fold in range(2)]
        places = ("--prepared", str(pictures / name), "--runs", str(tmp_path / "runs"))
        lock = ("--lock", str(ROOT / "requirements.lock"))
        main(["add-model", str(model), "--weights", *given, *places, *lock, "--device", "cpu", *options])
        return tmp_path / "runs"

    yield run
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in dict(MODELS.values()):
            del sys.modules[name]


def refused(add, *arguments, **words):
    with pytest.raises(KitError) as caught:
        add(*arguments, **words)
    assert caught.value.fix
    return caught.value


def test_data_of_several_classes_wait_for_no_recipe(pictures, tmp_path, capsys):
    places = ("--data", str(pictures / "data"), "--out", str(tmp_path / "work"), "--folds", "2")
    main(["prepare", str(pictures / "shapes.toml"), *places])
    assert "stains" not in capsys.readouterr().err
    assert not list((tmp_path / "work").rglob("*.npy"))


def test_values_are_said_to_be_stratified(pictures, capsys):
    ways = {name: prepared.load(pictures / name).folds_by for name in MODELS}
    assert ways["words"] == "group, stratified by largest"
    assert ways["points"] == "group, stratified by quarters of x"
    assert ways["shapes"] == ways["objects"] == "group"
    preparation_report.show(prepared.load(pictures / "words"))
    assert "words: 12 images in 2 folds (group, stratified by largest)" in capsys.readouterr().err


@pytest.mark.parametrize("name", MODELS)
def test_each_kind_is_added_and_scored(add, name, capsys):
    runs = add(name)
    scores = [json.loads(path.read_text())["score"] for path in runs.glob("*/fold*/done.json")]
    assert len(scores) == 2
    assert all(score < 1 if name == "points" else score > 0.95 for score in scores)
    assert "equal" not in capsys.readouterr().err


FAINT = """
        for label, score in ((0, 0.3), (1, 0.45), (2, 0.6)):
            corner = np.zeros(image.shape[:2], bool)
            corner[-6:, 8 * label : 8 * label + 6] = True
            boxes.append([8 * label, len(corner) - 6, 8 * label + 6, len(corner)])
            masks.append(corner)
            scores.append(score)
            labels.append(label)
        return {
            "boxes\""""


@pytest.mark.parametrize("classes", [3, 1])
def test_metrics_that_count_get_least_scores_and_are_what_is_told(add, pictures, tmp_path, classes):
    """Each image has a wrong detection of each class, with scores below those of its right ones."""
    text = (pictures / "objects.toml").read_text().replace('name = "AP"', 'name = "mean precision"')
    if classes == 1:
        text = text.replace('classes = ["disc", "square", "bar"]', "").replace('class_column = "class"\n', "")
    (tmp_path / "counted.toml").write_text(text)
    work = tmp_path / "work"
    prepare.prepare(str(tmp_path / "counted.toml"), pictures / "data", work, fold_count=2)
    old = '        return {\n            "boxes"'
    runs = add("objects", old, FAINT, "--prepared", str(work))
    plan = tmp_path / "dist" / "ensemble.json"
    where = ("--prepared", str(work), "--runs", str(runs), "--out", str(plan), "--processes", "1")
    main(["ensemble", *where])
    [first, *_] = json.loads(plan.read_text())["rungs"]
    alone = [json.loads(path.read_text())["score"] for path in runs.glob("*/fold*/done.json")]
    assert max(alone) < 0.7, "with the faint ones"
    assert first["cv"] > 0.9
    assert first["settings"]["min_score"] > 0 or first["settings"]["min_scores"]


@pytest.mark.parametrize("metric", ["mean Dice", "global Dice"])
def test_one_mask_is_tuned_by_the_metric_that_it_is_scored_by(blob_data, metric):
    form = blob_data.source.format
    changed = replace(form, metric=replace(form.metric, name=metric))
    prepared = SimpleNamespace(kind="semantic", source=SimpleNamespace(format=changed))
    assert held_out.tuner_of(prepared) is (class_tuning.tune_mask if metric == "global Dice" else None)
    found = class_tuning.tune_mask({}, lambda tried: [-abs(one["threshold"] - 0.35) for one in tried])
    assert found["threshold"] == 0.35


LAYER = "return self.layer(x).softmax(1)"
PLACE = "rows, columns = np.indices"
WORD = "WORDS[int(near.sum(dim=(0, 1)).argmax())]"
FOUND = "return [{name: value.to(x.device)"


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("shapes", LAYER, f"{LAYER}[:, 1:]", "returned (2, 3, 96, 96)"),
        ("shapes", LAYER, "return self.layer(x)", "declares output 'softmax'"),
        ("shapes", LAYER, "return self.layer(x).softmax(1).numpy()", "returned ndarray"),
        (
            "shapes",
            LAYER,
            "return nn.functional.dropout(self.layer(x)).softmax(1)",
            "when it is predicted again",
        ),
        ("shapes", LAYER, f"{NTH}\n        if last: raise ValueError('odd')\n        {LAYER}", "failed: Val"),
        ("shapes", LAYER, f"{NTH}\n        if last: raise SystemExit(5)\n        {LAYER}", "SystemExit: 5"),
        ("shapes", LAYER, f"{NTH}{LAYER}[:, : 3 if last else 4]", ", 3, 96, 96) for an input"),
        ("objects", '"labels": torch.tensor(labels', '"labels": 1 + torch.tensor(labels', "returned label 3"),
        ("objects", "labels.append(label)", f"{NTH}labels.append(label + 3 * last)", "returned label "),
        ("objects", "torch.tensor(labels,", "torch.tensor(labels[:1],", "1 labels for"),
        ("objects", "[left, top, left + width, top + height]", "[top, left, top + 1, left]", "outside of"),
        ("objects", "[left, top, left + width, top + height]", "[left, top, width, height]", "outside of"),
        ("objects", "masks.append(numbers == number)", "masks.append(numbers < 0)", "has a pixel"),
        ("objects", "value.to(x.device)", "value.numpy()", "boxes as ndarray"),
        ("points", PLACE, f"return {{'x': 1}}\n        {PLACE}", "returned x"),
        ("points", PLACE, f"return {{'x': 1, 'y': 2, 'z': 3}}\n        {PLACE}", "returned x, y, z"),
        ("points", PLACE, f"return {{'x': 'left', 'y': 2}}\n        {PLACE}", "'left' for x"),
        ("points", PLACE, f"return {{'x': None, 'y': 2}}\n        {PLACE}", "x as NoneType"),
        (
            "points",
            PLACE,
            f"return {{'x': 1e300, 'y': 2}}\n        {PLACE}",
            "RMSE on 6 held-out images is not",
        ),
        (
            "points",
            PLACE,
            f"{NTH}\n        if last: return {{}}\n        {PLACE}",
            "predict returned nothing",
        ),
        ("words", WORD, "'elephant'", "'elephant' for largest"),
        ("words", WORD, "''", "'' for largest"),
        ("words", WORD, "2", "its values are words"),
    ],
)
def test_what_a_class_does_wrong_is_told(add, name, old, new, told):
    assert told in refused(add, name, old, new).problem


def test_what_goes_wrong_on_one_image_names_it_and_the_user_s_line(add, tmp_path):
    error = refused(add, "points", PLACE, f"{NTH}\n        if last: raise ValueError('odd')\n        {PLACE}")
    assert error.problem.startswith("image train ")
    line = (
        (tmp_path / "disc_place.py")
        .read_text()
        .splitlines()
        .index("        if last: raise ValueError('odd')")
    )
    assert error.where == f"{tmp_path / 'disc_place.py'}:{line + 1}"


def test_a_device_that_is_not_there_has_a_remedy_of_its_own(add):
    new = "raise RuntimeError('Expected all tensors to be on the same device')"
    assert "x.device" in refused(add, "shapes", LAYER, new).fix


def test_what_a_model_prints_is_no_folder_of_a_run(add, capsys):
    add("shapes", LAYER, f"print('seen'); {LAYER}")
    caught = capsys.readouterr()
    assert "seen" not in caught.out
    assert "seen" in caught.err
    assert [Path(line).name for line in caught.out.split()] == ["fold0", "fold1"]


def test_a_model_that_writes_into_its_image_writes_into_a_copy(add, capsys):
    add("points", PLACE, f"image[:] = 0\n        {PLACE}")
    assert "other values for the same image" not in capsys.readouterr().err


def test_values_that_change_from_call_to_call_are_told_once(add, capsys):
    add("points", PLACE, f"{NTH}return {{'x': self.calls, 'y': 2}}\n        {PLACE}")
    assert capsys.readouterr().err.count("other values for the same image") == 1


def test_what_a_kind_does_not_look_at_is_told(add, capsys):
    add("points", 'kind = "values"', 'kind, window, mean = "values", 64, (1, 2, 3)')
    assert "declares mean, window, which does nothing" in " ".join(capsys.readouterr().err.split())


def test_equal_weights_of_two_folds_are_told(add, pictures, capsys):
    add("shapes", files=[f"{pictures / 'masks0.safetensors'}@{fold}" for fold in range(2)])
    assert "are equal" in " ".join(capsys.readouterr().err.split())


def test_weights_of_folds_and_of_all_images_do_not_mix_under_one_name(add, pictures, tmp_path):
    everything = [str(pictures / "masks0.safetensors")]
    runs = add("shapes")
    assert "weights of a fold already" in refused(add, "shapes", files=everything).problem
    add("shapes", "", "", "--name", "all", files=everything)
    assert "weights of all images already" in refused(add, "shapes", "", "", "--name", "all").problem
    shutil.rmtree(runs / "all")
    add("shapes", "", "", "--name", "all")


def test_paths_with_blanks_and_umlauts(add, pictures, tmp_path):
    folder = tmp_path / "mit Leerzeichen und Größe"
    folder.mkdir()
    shutil.copy(pictures / "masks0.safetensors", folder / "Gewichte ä.safetensors")
    assert (
        add("shapes", files=[f"{folder / 'Gewichte ä.safetensors'}@0"]) / "shape-masks" / "fold0"
    ).is_dir()
