"""Every example of docs/competitions.md, written out as a folder, goes through check, score and validate."""

import csv
import dataclasses
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from kit import competitions
from kit.__main__ import main
from kit.competitions import definition as formats
from kit.competitions.cells_format import Cells, MaskText
from kit.competitions.metadata_format import Columns
from kit.competitions.server import Server
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli
from kit.masks import coco, rle
from kit.predictions import Instances
from tests.kit.competitions import example_folder

PAGE = (Path(__file__).parents[3] / "docs" / "competitions.md").read_text()
EXAMPLES = {tomllib.loads(text)["name"]: text for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)}


@pytest.fixture(params=[*EXAMPLES, *competitions.names()])
def example(request, tmp_path):
    """Name or TOML file, competition, folder."""
    name = request.param
    if name in EXAMPLES:
        name = tmp_path / f"{name}.toml"
        name.write_text(EXAMPLES[request.param])
    competition = competitions.get(name)
    (tmp_path / "data").mkdir()
    example_folder.write(tmp_path / "data", competition.format)
    return str(name), competition, tmp_path / "data"


def predictions(competition, ids):
    sizes = example_folder.HEIGHT, example_folder.WIDTH
    if competition.kind == "semantic":
        masks = {key: rle.encode(example_folder.foreground(key)) for key in ids}
        return {key: dataclasses.replace(competition.empty(*sizes), runs=runs) for key, runs in masks.items()}
    masks = {key: [coco.encode(mask_HW) for mask_HW in example_folder.instances(key)] for key in ids}
    return {key: Instances(*sizes, np.linspace(0.9, 0.7, len(found)), found) for key, found in masks.items()}


def submit(competition, path, ids):
    found = predictions(competition, ids)
    write_submission(path, competition.columns, [competition.rows(key, found[key])[0] for key in ids])
    return path


def run(capsys, verb, name, data, path):
    code = run_cli(
        main, [verb, "--competition", name, "--data", str(data), "--submission", str(path), "--json"]
    )
    return code, json.loads(capsys.readouterr().out)


def test_the_page_shows_every_form_of_truth_and_both_kinds():
    shown = [tomllib.loads(text) for text in EXAMPLES.values()]
    assert {value["truth"].get("form") for value in shown} >= {"text", "images", "polygons"}
    assert {value.get("kind") for value in shown} >= {"semantic", "instance"}


def test_the_folder_is_good_and_its_truth_is_what_was_drawn(example):
    _, competition, data = example
    labelled = LabelledData(competition, data)
    report = check(labelled)
    assert [str(finding) for finding in report.findings if finding.level != "note"] == []
    assert report.facts["training images with truth"] == len(example_folder.TRAIN)
    assert labelled.train_ids() == list(example_folder.TRAIN)
    assert competition.test_ids(data) == list(example_folder.TEST)
    truth = labelled.truth(example_folder.TRAIN)
    for key, found in truth.items():
        if competition.kind == "semantic":
            assert np.array_equal(rle.decode(found.runs, *FULL), example_folder.foreground(key))
        else:
            drawn = {mask_HW.tobytes() for mask_HW in example_folder.instances(key)}
            assert {coco.decode(mask, *FULL).tobytes("C") for mask in found.masks} == drawn


FULL = (example_folder.HEIGHT, example_folder.WIDTH)


def test_rows_mean_the_same_to_an_independent_decoder(example, tmp_path):
    _, competition, _ = example
    path = submit(competition, tmp_path / "s.csv", [*example_folder.TRAIN, *example_folder.TEST])
    form = competition.format.submission
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            cell, image_id = row[form.mask], row[form.id]
            if competition.kind == "semantic":
                expected = example_folder.foreground(image_id)
                assert np.array_equal(example_folder.mask_of(cell, form).reshape(FULL), expected)
            else:
                found = [example_folder.mask_of(text, form).tobytes() for text in cell.split()[2::3]]
                assert found == [mask_HW.tobytes() for mask_HW in example_folder.instances(image_id)]
                assert set(cell.split()[::3]) <= {form.label}


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_truth_scores_one_and_is_valid(example, tmp_path, capsys, split):
    name, competition, data = example
    ids = example_folder.TRAIN if split == "train" else example_folder.TEST
    path = submit(competition, tmp_path / "s.csv", ids)
    code, result = run(capsys, "validate", name, data, path)
    assert (code, result["ok"], result["competition"]) == (0, True, competition.name)
    assert [finding for finding in result["findings"] if finding["level"] == "error"] == []
    if split == "train" or competition.format.truth.solution:
        code, result = run(capsys, "score", name, data, path)
        assert (code, result["metric"]) == (0, competition.metric)
        assert result["value"] == pytest.approx(1.0)


def test_a_file_of_another_format_is_refused(example, tmp_path, capsys):
    name, _, data = example
    path = tmp_path / "s.csv"
    path.write_text("id,answer\nc,yes\n")
    code, result = run(capsys, "validate", name, data, path)
    assert (code, result["ok"]) == (2, False)
    assert "columns are 'id,answer'" in result["findings"][0]["message"]


def test_the_competition_travels_in_an_ensemble_without_its_file(example):
    _, competition, data = example
    if competition.name in competitions.names():
        assert competition.definition is None
        return
    carried = json.loads(json.dumps(competition.definition))
    again = competitions.of(ensemble_of(competition.name, carried))
    assert again.format == competition.format
    assert again.test_ids(data) == competition.test_ids(data)


def ensemble_of(name, definition):
    from kit.ensemble import Ensemble, Member, Pass, Rung

    member = Member(name="m", weights="w", sha256="0", size=1, network={}, inference={}, requires=[])
    return Ensemble(
        competition=name,
        kind="semantic",
        members=[member],
        passes=[Pass(member=0, view="identity", seconds_per_megapixel=1.0)],
        rungs=[Rung(passes=[0], weights=[1.0], settings={}, cv=0.5)],
        definition=definition,
    )


def test_the_page_explains_every_key():
    table = PAGE[PAGE.index("## All keys") : PAGE.index("## What `validate` says")]
    tables = (
        formats.Definition,
        formats.Images,
        MaskText,
        Cells,
        formats.Truth,
        formats.Submission,
        formats.Metric,
        formats.Metadata,
        Columns,
        Server,
    )
    keys = {item.name for kind in tables for item in dataclasses.fields(kind)}
    nested = {"images", "truth", "submission", "metric", "metadata"}
    explained = set(re.findall(r"[`.](\w+)(?=`)", table))
    assert keys - nested - explained == set()
