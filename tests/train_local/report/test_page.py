import json
import shutil
from pathlib import Path

import pytest

from kit.errors import KitError
from tests.html_page import Page
from train_local.__main__ import main
from train_local.report.chapter import Source
from train_local.report.page import FailedJob, write_report


def source(folder, **changes):
    places = {
        "name": "kidney",
        "runs": folder / "runs" / "kidney",
        "prepared": folder / "prepared",
        "ensemble": folder / "none.json",
    }
    return Source(**{**places, **changes})


def written(tmp_path, *sources, **more):
    write_report(tmp_path / "page.html", sources, **more)
    text = (tmp_path / "page.html").read_text()
    return text, Page(text)


def test_the_page_shows_scores_curves_and_pictures_and_needs_no_other_file(trained, tmp_path):
    text, page = written(tmp_path, source(trained))
    assert len(text) < 1_400_000
    assert page.charts == 3, "loss, metric and learning rate of the one recipe"
    (gallery,) = page.galleries
    assert len(gallery["pictures"]) == len(gallery["images"]) == 4
    scores = [image["score"] for image in gallery["images"]]
    assert scores == sorted(scores)
    assert all("true" in picture["layers"] for picture in gallery["pictures"])
    assert all(place.startswith(("data:", "#")) for place in page.references), page.references
    done = json.loads((trained / "runs" / "kidney" / "blobs" / "fold0" / "done.json").read_text())
    assert f"{done['metric']:.4f}" in page.texts
    assert any("fold 1: stopped early" in text for text in page.texts)
    assert "mean Dice" in page.texts


def test_a_column_that_is_empty_in_all_rows_is_not_shown(trained, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(trained / "runs" / "kidney" / "blobs" / "fold0", whole / "blobs" / "fold0")
    plan = tmp_path / "ensemble.json"
    plan.write_text(json.dumps(ensemble_of(trained)))
    always = {"competition", "recipes", "runs finished"}
    for places, shown, hidden in (
        ({"runs": whole}, {"mean", "time"}, {"spread", "not finished", "ensemble, last rung"}),
        (
            {"runs": whole, "ensemble": plan},
            {"ensemble, last rung", "rung"},
            {"error", "tuned on all"},
        ),
        ({}, {"not finished", "best recipe, mean over folds"}, {"ensemble, last rung"}),
        ({"runs": tmp_path / "none"}, always, {"metric", "best recipe, mean over folds"}),
    ):
        text, page = written(tmp_path, source(trained, **places))
        headings = {heading for table in page.tables for heading in table[0]}
        assert page.empty_columns() == []
        assert shown <= headings
        assert not hidden & headings
        assert ("Spread:" in text) == ("spread" in headings)
        assert ("* best score" in text) == ("not finished" in headings)


def test_names_and_logs_are_text_whatever_is_in_them(trained, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("line 1\n<script>alert(1)</script>\n")
    job = FailedJob("kidney/<b>", "the <loss> is not a number", log, "lower & try")
    _, page = written(tmp_path, source(trained, name="<i>kidney"), failed=[job])
    assert page.names.count("script") == 4, "colours, viewer, gallery and its data"
    assert {"i", "loss"}.isdisjoint(page.names)
    assert page.names.count("b") == 1, "on the button of the colours"
    assert any("<script>alert(1)</script>" in text for text in page.texts)
    assert {image["id"] for image in page.galleries[0]["images"]} == {"aa", "b<b>&", "cc", "dd"}
    assert any("lower & try" in text for text in page.texts)


def test_a_competition_without_runs_or_data_is_told(tmp_path):
    _, page = written(tmp_path, source(tmp_path))
    assert "No run has begun." in page.texts


def test_without_its_data_the_page_has_everything_but_pictures(trained, tmp_path):
    _, page = written(tmp_path, source(trained, prepared=tmp_path / "gone"))
    assert page.galleries == []
    assert page.charts == 3
    assert any(text.startswith("pictures are left out:") for text in page.texts)


def test_damaged_predictions_cost_the_pictures_only(trained, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(trained / "runs" / "kidney", runs)
    for path in runs.glob("*/*/oof/**/*.npy"):
        path.write_bytes(b"")
    _, page = written(tmp_path, source(trained, runs=runs))
    assert page.galleries == []
    assert any(text.startswith("pictures are left out:") for text in page.texts)


def test_lists_of_predictions_in_another_form_cost_the_pictures_only(trained, tmp_path):
    shutil.copytree(trained / "runs" / "kidney", tmp_path / "runs")
    for spoilt in ("[]", '{"views": ["identity"]}', '{"views": 1, "files": {}}'):
        for path in (tmp_path / "runs").glob("*/*/oof/oof.json"):
            path.write_text(spoilt)
        _, page = written(tmp_path, source(trained, runs=tmp_path / "runs"))
        assert page.galleries == []
        assert any(text.startswith("pictures are left out:") for text in page.texts)


def test_a_run_in_its_first_steps_is_shown(trained, tmp_path):
    folder = tmp_path / "runs" / "early" / "fold0"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"identity": "x", "recipe": {"name": "early"}}')
    _, page = written(tmp_path, source(trained, runs=tmp_path / "runs"))
    assert any("fold 0: begun" in text for text in page.texts)
    assert "Nothing was logged yet." in page.texts
    assert "*" not in page.texts, "there is no score yet"
    (folder / "done.json").write_text('{"complete": true, "metric": null, "metric_name": "mean Dice"}')
    _, page = written(tmp_path, source(trained, runs=tmp_path / "runs"))
    assert "all images train" in page.texts


def ensemble_of(folder):
    record = json.loads((folder / "runs/kidney/blobs/fold0/weights.safetensors.json").read_text())
    member = {
        "name": "blobs.fold0",
        "weights": "blobs.fold0.safetensors",
        **{key: record[key] for key in ("sha256", "size", "network", "inference", "requires")},
    }
    return {
        "schema": 2,
        "competition": "kidney",
        "kind": "semantic",
        "members": [member],
        "passes": [{"member": 0, "view": view} for view in ("identity", "hflip", "vflip", "rot90")],
        "rungs": [
            {"passes": [0], "weights": [1.0], "settings": {"threshold": 0.5}, "cv": 0.5},
            {"passes": [0, 2], "weights": [1.0, 1.0], "settings": {"threshold": 0.4}, "cv": 0.625},
            {"passes": [0, 1, 2], "weights": [1.0] * 3, "settings": {"threshold": 0.4}, "cv": 0.6875},
            {"passes": [0, 1, 2, 3], "weights": [1.0] * 4, "settings": {"threshold": 0.4}, "cv": 0.75},
        ],
    }


def test_the_ladder_is_drawn_with_what_is_known_of_it(trained, tmp_path):
    place = tmp_path / "ensemble.json"
    place.write_text(json.dumps(ensemble_of(trained)))
    _, page = written(tmp_path, source(trained, ensemble=place))
    assert page.charts == 4
    assert {"0.5000", "0.6250", "1, 3", "blobs.fold0 identity vflip", "1-3"} <= set(page.texts)
    assert {"blobs.fold0 hflip vflip", "1-4", "blobs.fold0 rot90"} <= set(page.texts), "what each adds"
    rungs = [
        {"passes": [0], "error": 0.01},
        {"passes": [0, 2], "tuned_on_all": 0.8125, "static_weighting": 0.25},
        {"passes": [0, 1, 2]},
        {"passes": [0, 1, 2, 3]},
    ]
    (tmp_path / "ladder.json").write_text(json.dumps({"rungs": rungs}))
    _, page = written(tmp_path, source(trained, ensemble=place))
    assert {"0.0100", "0.8125", "0.2500", "static weighting"} <= set(page.texts)
    assert "hidden run" not in page.texts
    rungs[2]["hidden_time"] = {"low": 5400.0, "median": 7200.0, "high": 9000.0}
    hidden = {"hidden": {"images": 650, "megapixels": 170.4}, "workers": 2, "hours": 9.0}
    (tmp_path / "ladder.json").write_text(json.dumps({"rungs": rungs, "hidden_run": hidden}))
    _, page = written(tmp_path, source(trained, ensemble=place))
    assert {"hidden run", "2.0 h (1.5 to 2.5 h)"} <= set(page.texts)
    assert any("650 images of 170.4 megapixels" in text for text in page.texts)
    for spoilt in ("[]", '{"rungs": 1}', '{"rungs": [1, {}]}'):
        (tmp_path / "ladder.json").write_text(spoilt)
        _, page = written(tmp_path, source(trained, ensemble=place))
        assert {"0.5000", "0.6250"} <= set(page.texts), "what ensemble.json says of it"
    place.write_text("{")
    _, page = written(tmp_path, source(trained, ensemble=place))
    assert any(text.startswith("the ladder is left out:") for text in page.texts)


def test_the_verb_writes_the_page(trained, tmp_path, capsys):
    out = tmp_path / "deep" / "training.html"
    command = ["report", "--prepared", trained / "prepared", "--runs", trained / "runs", "--out", out]
    assert main(list(map(str, command))) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert "kidney" in Page(out.read_text()).texts


@pytest.mark.parametrize("wrong", ["--prepared", "--runs"])
def test_a_folder_that_is_not_there_is_told(trained, tmp_path, wrong):
    places = {"--prepared": trained / "prepared", "--runs": trained / "runs", wrong: Path("no/such/folder")}
    command = ["report", "--out", tmp_path / "page.html", *(part for pair in places.items() for part in pair)]
    with pytest.raises(KitError, match=r"no runs|prepare"):
        main(list(map(str, command)))
