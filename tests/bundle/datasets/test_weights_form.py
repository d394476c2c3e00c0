"""A bundle with weights of another number format: measured, told, and found again by predict.py."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from bundle import build
from bundle.roots import Root
from bundle.score_change import Change, Version, measure, require_small
from bundle.weights_form import WeightsForm
from kit import ensemble
from kit.command_line import parse
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from submission.member_files import as_shipped, find_weights

DATA = Path(__file__).parents[3] / "sample" / "kidney"


@pytest.fixture
def options(index, make_ensemble, tmp_path):
    index.add("tool")
    return build.Options(
        ensembles=[make_ensemble(names=("a+1.safetensors", "b.safetensors"))],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=("cp313",),
        roots=(Root("tool", exact=True, why="test"),),
    )


def with_form(options, tmp_path, **form):
    defaults = {
        "data": DATA,
        "images": 1,
        "weights_cache": tmp_path / "weights",
        "max_change": 1.0,
        "device": "cpu",
    }
    return dataclasses.replace(options, weights=WeightsForm(**defaults | form))


def test_half_as_many_bytes_with_the_measured_change(options, tmp_path, capfd):
    source = ensemble.load(options.ensembles[0])
    runs = tmp_path / "runs" / "small" / "fold0" / "oof"
    runs.mkdir(parents=True)
    told = {"weights": source.members[0].sha256, "files": {"identity": {"1019": "1019.npy"}}}
    (runs / "oof.json").write_text(json.dumps(told))
    form = {"dtype": "float16", "runs": tmp_path / "runs"}
    _, (folder, written) = build.build(with_form(options, tmp_path, **form))
    plan = ensemble.load(folder / "ensemble.json")
    entries = {entry.sha256: entry for entry in written.manifest.files if entry.role == "weights"}
    for before, after in zip(source.members, plan.members, strict=True):
        entry = entries[after.sha256]
        assert entry.size == after.size == (folder / after.weights).stat().st_size
        assert after.size < 0.6 * before.size
        record = entry.run["cast"]
        assert (record["from"], record["dtype"]) == (before.sha256, "float16")
        assert record["score"]["held_out"] is (before is source.members[0])
        assert 0 < record["score"]["before"] < 1
        assert record["score"]["after"] != 0
        assert entry.run["config"]["recipe"] == "small"
    description = json.loads((folder / "dataset-metadata.json").read_text())["description"]
    assert "Weights are float16. mean Dice of the ensemble on" in description
    assert "all members" in capfd.readouterr().err
    # predict.py is rendered from the ensemble as it was tuned, and carries what the bundle holds.
    found = as_shipped(source, options.out)
    assert [(item.sha256, item.size) for item in found.members] == [
        (item.sha256, item.size) for item in plan.members
    ]
    assert find_weights(found, options.out).keys() == {member.name for member in plan.members}


def test_a_change_beyond_the_limit_is_refused_with_the_members(options, tmp_path):
    with pytest.raises(KitError, match=r"move the score by more than 1e-12: small\.fold0 0\.") as caught:
        build.build(with_form(options, tmp_path, dtype="bfloat16", max_change=1e-12))
    assert "--max-change" in caught.value.fix
    assert not options.out.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"weights": "1"}', "out-of-fold predictions is damaged"),
        ('{"weights": "1", "files": {"identity": ["1019"]}}', "out-of-fold predictions is damaged"),
        ("[]", "out-of-fold predictions is damaged"),
        ("{", "not a readable JSON file"),
        (None, "no run here lists images"),
    ],
)
def test_runs_that_say_nothing_of_their_images_are_named(tmp_path, text, told):
    place = tmp_path / "small" / "fold0" / "oof" / "oof.json"
    place.parent.mkdir(parents=True)
    if text is not None:
        place.write_text(text)
    member = Member(
        name="a", weights="a.safetensors", sha256="1" * 64, size=1, network={}, inference={}, requires=[]
    )
    plan = Ensemble(
        competition="kidney",
        kind="semantic",
        members=[member],
        passes=[Pass(member=0, view="identity", seconds_per_megapixel=1.0)],
        rungs=[Rung(passes=[0], weights=[1.0], settings={}, cv=None)],
    )
    version = Version(ensemble=plan, files=[tmp_path / "a.safetensors"])
    with pytest.raises(KitError, match=told) as caught:
        measure(version, version, DATA, runs=tmp_path, images=1)
    assert caught.value.where == str(tmp_path if text is None else place)


def test_a_score_that_is_no_number_is_no_small_change(tmp_path):
    change = Change(name="a", images=1, held_out=True, before=0.5, after=math.nan)
    with pytest.raises(KitError, match="move the score by more than"):
        require_small([change], 0.1, "float16", tmp_path)


def test_no_smaller_format_without_a_measurement(options, tmp_path):
    with pytest.raises(KitError, match="nobody knows yet what float16"):
        build.build(with_form(options, tmp_path, dtype="float16", data=None))


def test_float32_needs_none_and_leaves_float32_alone(options, tmp_path):
    _, (folder, _) = build.build(with_form(options, tmp_path, dtype="float32", data=None))
    trained = options.ensembles[0].parent / "weights"
    assert (folder / "b.safetensors").samefile(trained / "b.safetensors")


def test_each_of_the_two_caches_has_its_own_option():
    line = ["--ensemble", "e", "--out", "o", "--cache", "wheels", "--weights-cache", "weights"]
    options = parse(line, build.Options, prog="build")
    assert (str(options.cache), str(options.weights.weights_cache)) == ("wheels", "weights")
    assert str(parse(line[:6], build.Options, prog="build").weights.weights_cache) == "build/weights"
