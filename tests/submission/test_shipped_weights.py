"""Weights in another number format and in shards, mounted as a model: predict.py finds and runs them."""

import shutil

from bundle.cast import cast
from bundle.dataset import entry_of
from bundle.shards import shards
from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.manifest import Manifest
from submission.render import render


def test_a_rendered_predict_runs_bfloat16_shards_of_a_versioned_model(
    kit_of_two, competition, tmp_path, tools
):
    folder = tmp_path / "bundle" / kit_of_two.weights.name
    folder.mkdir(parents=True)
    entries = []
    for path in sorted(kit_of_two.weights.glob("*.safetensors")):
        source = sha256_file(path)
        made = cast(path, source, "bfloat16", tmp_path / "cache")
        whole, size = sha256_file(made), made.stat().st_size
        parts = shards(made, whole, size // 2, tmp_path / "cache")
        assert len(parts) > 1
        for number, part in enumerate(parts):
            name = f"{path.stem}.part{number}.safetensors"
            shutil.copyfile(part, folder / name)
            run = {"cast": {"from": source, "dtype": "bfloat16"}, "shard": {"whole": size}}
            entries.append(entry_of(part, name, role="weights", run=run, part_of=whole))
    manifests.save(folder, Manifest(dataset=folder.name, files=entries))
    script = tmp_path / "dist" / "predict.py"
    render(kit_of_two.ensemble, tmp_path / "bundle", script)
    root = tmp_path / "input"
    shutil.copytree(competition, root / "competitions" / competition.name)
    mounted = root / "models" / "alice" / folder.name / "pytorch" / "default" / "3"
    shutil.copytree(folder, mounted)
    done = tools.run(script, root, tmp_path / "working")
    assert done.code == 0, done.text
    ready = done.report["weights"]
    assert [row["how"] for row in ready] == ["as is", "as is"]
    assert sum(row["bytes"] for row in ready) == sum(entry.size for entry in entries)
