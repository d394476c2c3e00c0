"""Everything that goes to Kaggle has the same bytes, whenever, wherever and by whomever it was made."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DATA = ROOT / "sample" / "kidney"

MAKE = """
import json, os, sys
from pathlib import Path
given = json.loads(sys.argv[1])
os.environ |= given["environment"]
from bundle import build
from bundle.roots import Root
from bundle.weights_form import WeightsForm
from submission.render import render
out = Path(given["out"])
form = WeightsForm(
    dtype="float16", data=Path(given["data"]), images=1, max_change=1.0, device="cpu",
    weights_cache=out / "cast",
)
build.build(build.Options(
    ensembles=(Path(given["ensemble"]),), out=out / "bundle", cache=out / "cache", lock=Path(given["lock"]),
    targets=("cp311", "cp313"), weights=form,
    roots=(Root("tool", exact=True, why=""), Root("helper", exact=False, why="")),
))
render(Path(given["ensemble"]), out / "bundle", out / "predict.py")
"""


def test_a_bundle_and_its_script_are_the_same_bytes_in_other_circumstances(
    index, make_ensemble, tmp_path, run_elsewhere, read_tree
):
    index.add("tool", requires=["numpy>=1.26", 'only-old ; python_version < "3.12"', "helper>=0.5"])
    index.add("helper")
    index.add("only-old", tag="cp311-cp311-manylinux_2_28_x86_64")
    lock = index.lock(tmp_path / "requirements.lock")
    ensemble = make_ensemble(names=("a+1.safetensors", "b.safetensors"))
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def given(out, start=None):
        paths = {"ensemble": ensemble, "lock": lock, "data": DATA, "out": out}
        shown = {
            name: str(path) if start is None else os.path.relpath(path, start) for name, path in paths.items()
        }
        return json.dumps({**shown, "environment": pip})

    # Here: this folder, locale and clock, absolute paths. Elsewhere: all of that changed, and relative paths.
    here = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", MAKE, given(tmp_path / "here")]
    subprocess.run(command, cwd=ROOT, env=here, check=True, umask=0o022)
    run_elsewhere(MAKE, given(tmp_path / "there" / "deep", start=tmp_path))
    made = {}
    for out in (tmp_path / "here", tmp_path / "there" / "deep"):
        made[out] = read_tree(out / "bundle") | {
            name: (out / name).read_bytes() for name in ("predict.py", "predict.ipynb")
        }
    first, second = made.values()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    names = {Path(name).name for name in first}
    assert {
        "manifest.json",
        "sbom.json",
        "pylock.toml",
        "verify.py",
        "wheels-cp311.zip",
        "ensemble.json",
    } <= names
    # No name of a folder of this machine got into what everybody may read.
    assert [name for name, data in first.items() if str(tmp_path).encode() in data] == []
