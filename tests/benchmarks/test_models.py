"""The benchmark itself, on tiny networks: every table is measured and kept."""

import shutil
from pathlib import Path

import pytest

from benchmarks import models, networks, peers, recipes
from benchmarks.markdown import DOCS, block, write_block
from benchmarks.options import ModelOptions
from kit.command_line import parse
from kit.errors import KitError


@pytest.fixture
def docs(tmp_path):
    return Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))


def measured(docs, *argv):
    """Head and rows of the table that the command writes, and what stands below it."""
    command = [*argv, "--tiny", "--seconds", "0.01", "--rounds", "1", "--size", "64", "--write-docs"]
    arguments = parse(command, ModelOptions, prog="benchmarks")
    models.run(arguments, ["models", *command], docs)
    part = arguments.part or "networks"
    written, _, how = block(docs, part).partition("\n\n")
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in written.splitlines())
    return head, rows, how


def is_positive(cell):
    return float(cell.removesuffix("%")) > 0


def test_networks_are_measured_in_processes_of_their_own(docs):
    names = ["segformer-b0", "unet-regnety16"]
    head, rows, how = measured(docs, "--only", *names)
    assert head == list(networks.HEAD)
    assert [row[0] for row in rows] == names
    assert all(is_positive(row[head.index("MB")]) for row in rows)
    assert how.startswith("`python -m benchmarks models --only segformer-b0 unet-regnety16")
    assert "torch 2." in how


def test_our_swin_is_timed_beside_mmdets(docs):
    head, rows, _ = measured(docs, "--part", "swin")
    assert head == list(peers.SWIN_HEAD)
    assert [row[1] for row in rows] == ["forward", "forward + backward"]
    assert all(is_positive(row[-1]) for row in rows)


def test_without_compiled_operators_the_table_says_so(docs, tmp_path):
    _, rows, _ = measured(docs, "--part", "detectors")
    assert rows == [["detectors-r50", "not built", "", ""]]
    with pytest.raises(KitError, match="no compiled operators"):
        measured(docs, "--part", "detectors", "--native-mmcv", str(tmp_path))


def test_steps_of_the_recipes_are_measured(docs):
    head, rows, _ = measured(docs, "--part", "recipes", "--only", "vit-adapter-l")
    assert head == list(recipes.HEAD)
    assert [row[1] for row in rows] == ["train", "predict"]
    assert all(is_positive(row[head.index("peak GB")]) for row in rows)


def test_a_gpu_that_is_not_there_is_an_error(docs, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(KitError, match="torch sees no GPU"):
        measured(docs, "--device", "cuda")


def test_a_table_is_never_written_beside_its_place(tmp_path):
    with pytest.raises(KitError, match="no such file") as missing:
        write_block(tmp_path / "benchmarks.md", "networks", "| a |")
    assert "<!-- networks -->" in str(missing.value.fix)
    (tmp_path / "benchmarks.md").write_text("<!-- networks -->")
    with pytest.raises(KitError, match="no block 'networks'"):
        write_block(tmp_path / "benchmarks.md", "networks", "| a |")
