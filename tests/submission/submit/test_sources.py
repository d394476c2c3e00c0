"""What a rendered script says of itself, read without running it."""

import json

from kit.artefacts import sha256_file
from submission.submit.sources import find_sources, read_script


def test_script_and_notebook_say_the_same(kit_of_two, tools):
    script = read_script(kit_of_two.script)
    notebook = read_script(kit_of_two.script.with_suffix(".ipynb"))
    manifest = sha256_file(kit_of_two.weights / "manifest.json")
    assert script.bundle == notebook.bundle == {kit_of_two.weights.name: manifest}
    assert (script.slug, script.ensemble_sha256) == (tools.slug, notebook.ensemble_sha256)
    assert script.sha256 == sha256_file(kit_of_two.script)


def test_a_model_is_attached_with_its_version_and_the_latest_verified_upload_counts(kit_of_two, tmp_path):
    script = read_script(kit_of_two.script)
    [fingerprint] = script.bundle.values()
    states = {
        "old": {"kind": "dataset", "id": "alice/old", "times": {"verified": "2026-11-01T00:00:00Z"}},
        "new": {
            "kind": "model",
            "id": "alice/unet/pytorch/base",
            "version": 4,
            "times": {"verified": "2026-11-02"},
        },
        "failed": {
            "kind": "dataset",
            "id": "alice/bad",
            "stage": "failed",
            "times": {"verified": "2026-11-03"},
        },
    }
    for name, value in states.items():
        state = {"stage": "verified", "fingerprint": fingerprint, **value}
        (tmp_path / f"{name}.json").write_text(json.dumps(state))
    [source] = find_sources(script, tmp_path)
    assert (source.kind, source.id) == ("model", "alice/unet/pytorch/base/4")
