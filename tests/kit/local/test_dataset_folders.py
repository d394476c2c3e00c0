import json

import pytest

from kit import ensemble as ensembles
from kit import manifest
from kit.artefacts import write_json
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.local.dataset_folders import competitions_in, competitions_of, folders_for, folders_in
from kit.manifest import Manifest
from kit.requested import Requested


def write(bundle, name, *, wheels=(), weights=None, alone=False):
    folder = bundle / name
    folder.mkdir(parents=True)
    manifest.save(folder, Manifest(dataset=name, files=[]))
    told = [{"name": "hubmap-kit:competition", "value": value} for value in wheels]
    write_json(folder / "sbom.json", {"metadata": {"component": {"properties": told}}})
    if weights is not None:
        member = Member(
            name="m", weights="m.safetensors", sha256="0" * 64, size=1, network={}, inference={}, requires=[]
        )
        rung = Rung(passes=[0], weights=[1.0], settings={}, cv=None)
        plan = Ensemble(
            competition=weights,
            kind="semantic",
            members=[member],
            passes=[Pass(member=0, view="identity")],
            rungs=[rung],
        )
        ensembles.save(folder / "ensemble.json", plan)
    if alone:
        write_json(folder / "requested.json", Requested(asked=[], of_image=[]).as_dict())
    return folder


def test_a_dataset_is_for_the_competitions_that_it_names_itself(tmp_path):
    write(tmp_path, "kidney-wheels", wheels=["kidney"])
    both = write(tmp_path, "both-wheels", wheels=["kidney", "body"])
    weights = write(tmp_path, "a-name-without-meaning", weights="kidney")
    write(tmp_path, "body-wheels", wheels=["body"])
    write(tmp_path, "kidney-body-weights", weights="body")
    write(tmp_path, "kidney-alone", alone=True)
    write(tmp_path, "of-an-early-version")
    (tmp_path / "no-dataset").mkdir()
    assert [folder.name for folder in folders_for(tmp_path, "kidney")] == [
        "a-name-without-meaning",
        "both-wheels",
        "kidney-wheels",
        "of-an-early-version",
    ]
    assert competitions_of(both) == {"kidney", "body"}
    assert competitions_of(weights) == {"kidney"}
    assert len(folders_in(tmp_path)) == 7
    assert folders_for(both, "body") == [both], "a dataset's own folder may be named"
    assert folders_for(both, "vasculature") == []


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"metadata": null}'])
def test_what_is_damaged_names_no_competition_and_is_not_left_out(tmp_path, damaged):
    wheels = write(tmp_path, "wheels")
    (wheels / "sbom.json").write_text(damaged)
    weights = write(tmp_path, "weights")
    (weights / "ensemble.json").write_text(damaged)
    assert competitions_in(damaged) == competitions_of(wheels) == competitions_of(weights) == frozenset()
    assert folders_for(tmp_path, "kidney") == [weights, wheels]
    (wheels / "sbom.json").write_bytes(b"\xff")
    assert competitions_of(wheels) == frozenset()
    (wheels / "sbom.json").unlink()
    assert competitions_of(wheels) == frozenset()


def test_other_properties_of_a_bill_of_materials_are_passed_over():
    properties = [{"name": "other", "value": "body"}, {"name": "hubmap-kit:competition", "value": "kidney"}]
    text = json.dumps({"metadata": {"component": {"properties": properties}}})
    assert competitions_in(text) == {"kidney"}
