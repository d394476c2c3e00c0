"""Names that try to become code of predict.py, paths outside a folder, or options of a command."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from submission.render import render
from submission.runtime.script.text import literal, part_text, script_text

ROOT = Path(__file__).parents[2]
THREE = "'" * 3
CANARY = "__import__('pathlib').Path('CANARY').touch()"
HOSTILE = [
    f'"] = 1\n{CANARY}\nPARTS["x',
    f"{THREE}\n{CANARY}\nx = r{THREE}",
    f'"""\n{CANARY}\nx = r"""',
    f"\\{THREE}\n{CANARY}\n#",
    f"a\r{CANARY}",
    f"\\N{{QUOTATION MARK}}\n{CANARY}",
    f"\u2028{CANARY}\u2029",
    f"\f{CANARY}",
    "ends with a backslash\\",
    "ends with a quote'",
    'ends with a double quote"',
    "\x00",
    "\ud800",
    "\u202e\u2066",
    "# -*- coding: utf-7 -*-\n+AC0-",
    "../../../etc/passwd",
    "/etc/passwd",
    "..",
    "",
    "-rf",
    "a/../b",
    "$(touch CANARY)",
    "%run x",
    "x" * 5000,
]
PIECES = [*HOSTILE, "'", '"', "\\", "\n", "\r", "a", " ", "{", "}", CANARY]
texts = (
    st.lists(st.sampled_from(PIECES), max_size=5).map("".join)
    | st.text(st.characters(exclude_categories=[]), max_size=20)
    | st.sampled_from(HOSTILE)
)


@given(texts)
def test_a_literal_is_one_constant_of_the_same_value(text):
    code = ast.parse(f"x = {literal(text)}".encode())
    (statement,) = code.body
    assert isinstance(statement.value, ast.Constant)
    assert statement.value.value == text


@given(texts, st.dictionaries(texts, texts, max_size=3))
@example(HOSTILE[0], {HOSTILE[1]: HOSTILE[2]})
def test_a_script_of_hostile_texts_assigns_them_and_runs_nothing(tmp_path_factory, header, parts):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "hostile.py"
    path.write_text(script_text(header, parts), encoding="utf-8")
    data = path.read_bytes()
    *assigned, tail = ast.parse(data).body
    assert isinstance(tail, ast.If)
    assert all(isinstance(statement, ast.Assign) for statement in assigned)
    assert len(assigned) == 2 + len(parts)
    for optimize in (0, 1, 2):
        space = {"__name__": "not main"}
        exec(compile(data, "predict.py", "exec", optimize=optimize), space)
        assert {name: part_text(part) for name, part in space["PARTS"].items()} == parts
        assert space["__doc__"] == header
    assert not Path("CANARY").exists()


PLACES = {
    "member": ("ensemble.json", ("members", 0, "name")),
    "weights": ("ensemble.json", ("members", 0, "weights")),
    "hash": ("ensemble.json", ("members", 0, "sha256")),
    "requirement": ("ensemble.json", ("members", 0, "requires", 0)),
    "network": ("ensemble.json", ("members", 0, "network", "network")),
    "encoder": ("ensemble.json", ("members", 0, "network", "encoder")),
    "view": ("ensemble.json", ("passes", 0, "view")),
    "competition": ("ensemble.json", ("competition",)),
    "input": ("ensemble.json", ("inputs", "HERE")),
    "class of pixels": ("ensemble.json", ("rungs", 0, "settings", "thresholds", "HERE")),
    "dataset": ("manifest.json", ("dataset",)),
    "target": ("manifest.json", ("targets", 0)),
    "file": ("manifest.json", ("files", 0, "file")),
    "file's hash": ("manifest.json", ("files", 0, "sha256")),
    "wheel": ("manifest.json", ("files", 2, "wheel", "name")),
    "version": ("manifest.json", ("files", 2, "wheel", "version")),
    "tag": ("manifest.json", ("files", 2, "wheel", "tags", 0)),
    "versions": ("manifest.json", ("files", 2, "wheel", "accepts")),
    "Python": ("manifest.json", ("files", 2, "wheel", "requires", "HERE")),
    "needed": ("manifest.json", ("files", 2, "wheel", "requires", "cp311", 0)),
}
FREE = {"encoder", "class of pixels"}
"""Texts that may be anything: a library or the competition knows which ones there are."""


def hostile_kit(folder, kit, texts):
    """Copy ensemble and manifest into a folder, with texts in some places."""
    shutil.rmtree(folder, ignore_errors=True)
    dataset = folder / "bundle" / "dataset"
    dataset.mkdir(parents=True)
    plans = {
        "ensemble.json": (folder / "ensemble.json", json.loads(kit.ensemble.read_text())),
        "manifest.json": (
            dataset / "manifest.json",
            json.loads((kit.weights / "manifest.json").read_text()),
        ),
    }
    wheel = {
        "name": "timm",
        "version": "1.0",
        "tags": ["py3-none-any"],
        "licence": "MIT",
        "accepts": ">=1",
        "requires": {"cp311": ["torch"]},
    }
    plans["manifest.json"][1]["files"].append(
        {"file": "wheels.zip/timm.whl", "size": 1, "sha256": "11", "role": "wheel", "wheel": wheel}
    )
    for place, text in texts.items():
        name, keys = PLACES[place]
        inner = plans[name][1]
        for key in keys[:-1]:
            inner = inner.setdefault(key, {}) if isinstance(inner, dict) else inner[key]
        if keys[-1] == "HERE":
            inner[text] = {"inputs": "00", "thresholds": 0.5, "requires": []}[keys[-2]]
        else:
            inner[keys[-1]] = text
    for path, value in plans.values():
        path.write_text(json.dumps(value))
    return folder / "ensemble.json", folder / "bundle"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(PLACES)), texts)
@example("dataset", HOSTILE[0])
@example("member", HOSTILE[1])
@example("version", "1.0/../../x")
def test_a_hostile_name_is_refused_or_stays_a_text(kit_of_two, tmp_path, monkeypatch, place, text):
    monkeypatch.chdir(tmp_path)
    files = hostile_kit(tmp_path / "hostile", kit_of_two, {place: text})
    try:
        script = render(*files, tmp_path / "predict.py").script
    except KitError:
        return
    *assigned, tail = ast.parse(script.read_bytes()).body
    assert isinstance(tail, ast.If)
    assert all(
        isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant | ast.Dict) for item in assigned
    )
    space = {"__name__": "not main"}
    exec(compile(script.read_bytes(), "predict.py", "exec"), space)
    assert json.loads(space["PARTS"]["ensemble.json"]) == json.loads(files[0].read_text())
    assert not (tmp_path / "CANARY").exists()


@pytest.mark.parametrize("place", [place for place in PLACES if place not in FREE])
@pytest.mark.parametrize("text", [HOSTILE[0], HOSTILE[1], "../x", "/etc/passwd", "a\x00b", "\ud800", "a/b\n"])
def test_names_are_checked_when_they_are_read(kit_of_two, tmp_path, place, text):
    files = hostile_kit(tmp_path / "hostile", kit_of_two, {place: text})
    with pytest.raises(KitError) as caught:
        render(*files, tmp_path / "predict.py")
    caught.value.problem.encode()  # can be printed
    assert not (tmp_path / "predict.py").exists()


def test_what_may_be_any_text_runs_nothing_when_predict_py_runs(kit_of_two, tmp_path):
    texts = {"file": f"{THREE} {CANARY.replace('/', '')} #", "class of pixels": HOSTILE[1]}
    ensemble, bundle = hostile_kit(tmp_path / "hostile", kit_of_two, texts)
    script = render(ensemble, bundle, tmp_path / "predict.py").script
    # Not -OO as well: libraries that build networks need their docstrings.
    again = tmp_path / "again.py"
    command = [sys.executable, "-O", "-m", "submission", "render", "--ensemble", ensemble]
    command += ["--bundle", bundle, "--out", again]
    subprocess.run([*map(str, command)], cwd=ROOT, check=True, capture_output=True)
    assert again.read_bytes() == script.read_bytes()
    for flags in ([], ["-O"], ["-OO"]):
        command = [sys.executable, *flags, script, "--explain", "--input", tmp_path]
        done = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert "member0" in done.stdout
    assert not (tmp_path / "CANARY").exists()
    assert not (ROOT / "CANARY").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("size", -1), ("file", "x/../../y"), ("file", "a\\b"), ("file", "a//b")]
)
def test_an_entry_that_cannot_be_is_refused(kit_of_two, tmp_path, key, value):
    files = hostile_kit(tmp_path / "hostile", kit_of_two, {"file": "member0.safetensors"})
    path = files[1] / "dataset" / "manifest.json"
    plan = json.loads(path.read_text())
    plan["files"][0][key] = value
    path.write_text(json.dumps(plan))
    with pytest.raises(KitError, match=rf"files\[0\]\.{key} is"):
        render(*files, tmp_path / "predict.py")


@pytest.mark.parametrize(
    "folder",
    [
        *("submission", "submission/report", "submission/submit", "submission/runtime/script"),
        *("bundle", "bundle/foreign", "bundle/native", "bundle/probe", "bundle/upload"),
    ],
)
def test_no_check_is_an_assert_which_python_o_leaves_out(folder):
    trees = {path.name: ast.parse(path.read_text()) for path in (ROOT / folder).glob("*.py")}
    assert trees
    assert not [
        name for name, tree in trees.items() if any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    ]
