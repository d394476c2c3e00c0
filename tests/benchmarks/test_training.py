"""The training benchmark itself, on small images: all ways train to the same weights."""

import shutil
from pathlib import Path

import pytest

from benchmarks import parts, training_loop
from benchmarks.markdown import DOCS, block
from benchmarks.options import TrainingOptions
from kit.command_line import parse
from kit.errors import KitError

DETECTOR, UNET = training_loop.SUBJECTS


def measured(tmp_path):
    docs = Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))
    command = ["--part", "loop", "--tiny", "--rounds", "1", "--write-docs"]
    parts.run(parse(command, TrainingOptions, prog="benchmarks"), ["training", *command], docs)
    written, _, how = block(docs, "loop").partition("\n\n")
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows], how


def test_a_semantic_network_is_trained_by_our_loop_and_by_its_peers(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "SUBJECTS", (UNET,))
    rows, how = measured(tmp_path)
    assert [row["way"] for row in rows] == ["ours", "mmseg's runner", "bare loop"]
    assert all(float(row["s/step"]) > 0 for row in rows)
    assert [row["difference"] for row in rows] == ["0.0000"] * 3, "the same weights"
    assert how.startswith("`python -m benchmarks training --part loop --tiny")


@pytest.mark.slow
def test_an_instance_network_is_trained_by_our_loop_and_by_its_peers(tmp_path, monkeypatch):
    monkeypatch.setattr(training_loop, "SUBJECTS", (DETECTOR,))
    rows, _ = measured(tmp_path)
    assert [row["way"] for row in rows] == ["ours", "mmdet's runner", "bare loop"]
    assert rows[2]["difference"] == "0.0000"
    assert float(rows[1]["difference"]) < training_loop.SAME


def test_ways_that_train_to_other_weights_are_not_compared(monkeypatch):
    monkeypatch.setattr(training_loop, "SAME", -1.0)
    monkeypatch.setattr(training_loop, "SUBJECTS", (UNET,))
    with pytest.raises(KitError, match="trained unet-regnety16 to other weights than ours"):
        list(training_loop.rows(small=True, rounds=1))
