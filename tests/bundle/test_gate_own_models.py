"""The gate runs the models of one's own that the bundle's ensembles name, each once."""

import sys

import pytest

from bundle.gate import own_models
from bundle.gate_program import run_own
from kit import ensemble as ensembles
from kit.ensemble import Ensemble, Member, Pass, Rung

SOURCE = """
import torch

class Maps(torch.nn.Module):
    def forward(self, x):
        assert x.shape[-1] == 96, "the side of its own settings"
        return x[:, :1]

class Numbers(torch.nn.Module):
    def predict(self, image):
        raise RuntimeError("broken")
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "gated_model.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "gated_model"
    sys.modules.pop("gated_model", None)


def write(folder, kind, members, competition="cells"):
    plan = Ensemble(
        competition=competition,
        kind=kind,
        members=members,
        passes=[Pass(member=number, view="identity") for number in range(len(members))],
        rungs=[Rung(passes=list(range(len(members))), weights=[1.0] * len(members), settings={}, cv=None)],
    )
    folder.mkdir(parents=True)
    ensembles.save(folder / "ensemble.json", plan)


def member(number, network, inference):
    return Member(
        name=f"m{number}", weights=f"m{number}.safetensors", sha256=str(number) * 64, size=1, network=network,
        inference=inference, requires=[],
    )  # fmt: skip


def test_each_is_run_once_at_the_size_of_its_settings_and_what_fails_raises(tmp_path, module):
    maps = {"network": "own", "module": module, "class_name": "Maps"}
    numbers = {
        "network": "own",
        "module": module,
        "class_name": "Numbers",
        "kind": "values",
        "classes": ["a"],
    }
    unet = {"network": "unet-regnety16"}
    inference = {"core": 64, "context": 16, "scale": 1.0}
    write(
        tmp_path / "masks",
        "semantic",
        [member(n, maps, inference) for n in (1, 2)] + [member(3, unet, inference)],
    )
    write(tmp_path / "numbers", "values", [member(4, numbers, {"size": 40})])
    found = own_models(tmp_path)
    assert [(item["network"]["class_name"], item["side"]) for item in found] == [
        ("Maps", 96),
        ("Numbers", 512),
    ]
    runs = dict(run_own(found))
    assert list(runs) == ["gated_model.Maps", "gated_model.Numbers"]
    runs["gated_model.Maps"]()
    with pytest.raises(RuntimeError, match="broken"):
        runs["gated_model.Numbers"]()


def test_models_of_other_competitions_in_the_folder_are_not_looked_at(tmp_path, module):
    maps = {"network": "own", "module": module, "class_name": "Maps"}
    inference = {"core": 64, "context": 16, "scale": 1.0}
    for name in ("cells", "nuclei"):
        own = {**maps, "settings": {"of": name}}
        write(tmp_path / name, "semantic", [member(1, own, inference)], competition=name)
    [found] = own_models(tmp_path, frozenset({"nuclei"}))
    assert found["network"]["settings"] == {"of": "nuclei"}
    assert len(own_models(tmp_path)) == 2


def test_a_class_that_reads_its_own_file_is_only_built(module):
    network = {"network": "own", "module": module, "class_name": "Numbers", "kind": "values", "file": "a.bin"}
    [(_, build)] = run_own([{"network": network, "side": 8}])
    build()
