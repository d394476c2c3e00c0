"""The ensemble benchmark itself, on tiny maps and a few tiles."""

import shutil
from pathlib import Path

from benchmarks import ensemble
from benchmarks.markdown import DOCS, block
from benchmarks.options import EnsembleOptions
from kit.command_line import parse


def test_the_ensemble_step_is_measured_and_kept(tmp_path):
    docs = Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))
    command = ["--tiny", "--write-docs", "--folder", str(tmp_path)]
    ensemble.run(parse(command, EnsembleOptions, prog="benchmarks"), ["ensemble", *command], docs)
    written, _, how = block(docs, ensemble.BLOCKS["maps"]).partition("\n\n")
    rows = dict(line.strip("| ").split(" | ", 1) for line in written.splitlines()[2:])
    assert rows["slides"].startswith("3 of 320 x 320")
    assert float(rows["seconds of CPU"]) > 0
    assert rows["peak memory of all processes"].endswith(" MB")
    rungs = [text for name, text in rows.items() if name.startswith("rung")]
    assert "unseen 0." in rungs[0]
    assert "static weighting 0." in rungs[0]
    assert how.startswith("`python -m benchmarks ensemble --tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md"], "the maps are gone"


def test_the_search_of_detections_is_measured_and_kept(tmp_path):
    docs = Path(shutil.copy(DOCS / "benchmarks.md", tmp_path))
    command = ["--part", "detections", "--tiny", "--write-docs", "--folder", str(tmp_path)]
    ensemble.run(parse(command, EnsembleOptions, prog="benchmarks"), ["ensemble", *command], docs)
    written = block(docs, ensemble.BLOCKS["detections"]).partition("\n\n")[0]
    rows = dict(line.strip("| ").split(" | ", 1) for line in written.splitlines()[2:])
    assert rows["tiles"] == "4 of 512 x 512 pixels, 2 of them distinct files"
    assert rows["members x views"] == "25 x 1; a tile has the detections of 5 x 1"
    assert any(name.startswith("rung 1") for name in rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md"], "the tiles are gone"
