from dataclasses import replace
from pathlib import Path

import pytest

from kit.errors import KitError
from train_local.options import Options
from train_local.planned_runs import plan_runs
from train_local.train_all import train_all


def test_runs_side_by_side_wait_for_their_earlier_stage(two_stages, blob_data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)  # where the other processes find the recipe's class
    plan = plan_runs([two_stages[1]], blob_data)
    train_all(plan, blob_data, tmp_path, Options(device="cpu"), at_once=2)
    done = {str(path.relative_to(tmp_path).parent) for path in tmp_path.glob("*/*/done.json")}
    assert done == {"early/fold0", "late/fold0", "late/fold1"}
    first = two_stages[0]
    wrong = replace(first, name="wrong", data=replace(first.data, scale=0.25))
    with pytest.raises(KitError, match="not prepared at 1/4 of their resolution"):
        train_all(plan_runs([wrong], blob_data), blob_data, tmp_path, Options(), at_once=2)


def test_a_pattern_that_matches_nothing_lists_what_there_is(two_stages, blob_data, tmp_path):
    plan = plan_runs([two_stages[1]], blob_data)
    with pytest.raises(KitError, match="no run matches 'unet'") as error:
        train_all(plan, blob_data, tmp_path, Options(), only="unet")
    assert "choose from these runs: early.fold0, late.fold0, late.fold1" in str(error.value)
    with pytest.raises(KitError, match="no recipe is for kidney"):
        train_all([], blob_data, tmp_path, Options())
