"""The ensemble benchmark itself, on tiny maps."""

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
    written, _, how = block(docs, ensemble.BLOCK).partition("\n\n")
    rows = dict(line.strip("| ").split(" | ", 1) for line in written.splitlines()[2:])
    assert rows["slides"].startswith("6 of 640 x 640")
    assert float(rows["seconds of CPU"]) > 0
    assert rows["peak memory of all processes"].endswith(" MB")
    rungs = [text for name, text in rows.items() if name.startswith("rung")]
    assert "unseen 0." in rungs[0]
    assert "static weighting 0." in rungs[0]
    assert how.startswith("`python -m benchmarks ensemble --tiny")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["benchmarks.md"], "the maps are gone"
