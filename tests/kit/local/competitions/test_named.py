"""A competition is named as the kit's own, by its file, or as what was prepared."""

import json

import pytest

from kit import competitions
from kit.errors import KitError
from kit.local.competitions.named import named


def test_a_prepared_competition_is_known_by_its_name(tmp_path):
    kidney = competitions.get("kidney")
    assert named("kidney", tmp_path).name == kidney.name
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "prepared.json").write_text(json.dumps({"competition": "kidney", "definition": None}))
    assert named("mine", tmp_path).name == "kidney"


def test_a_name_that_nobody_knows_is_told_with_those_that_are_known(tmp_path):
    (tmp_path / "beads").mkdir()
    (tmp_path / "beads/prepared.json").write_text("{}")
    with pytest.raises(KitError, match="no competition is called 'baeds'") as refused:
        named("baeds", tmp_path)
    assert "did you mean 'beads'?" in refused.value.fix
    assert "kidney" in refused.value.fix
    assert "prepare" in refused.value.fix
