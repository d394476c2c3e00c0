"""A bundle with foreign sources: they take part in everything that the lock's wheels take part in."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import __main__ as cli
from bundle import build, sbom
from bundle.roots import Root
from kit import manifest
from kit.errors import KitError
from kit.local.program import run_cli
from tests.bundle.foreign_projects import write_project

ROOTS = (Root("tool", exact=True, why="test"),)


@pytest.fixture
def options(index, make_ensemble, tmp_path):
    index.add("tool")
    index.add("rare-thing", "1.5", requires=["rare-part"])
    index.add("rare-part")
    write_project(tmp_path / "my_models", requires=["rare-thing>=1", "numpy"])
    (tmp_path / "foreign.in").write_text("./my_models\n")
    return build.Options(
        ensembles=[make_ensemble(requires=("tool", "My_Models"))],
        out=tmp_path / "out",
        cache=tmp_path / "cache",
        lock=index.lock(tmp_path / "requirements.lock"),
        targets=("kaggle-cp311-torch2.8", "kaggle-2026-10"),
        foreign=tmp_path / "foreign.in",
        roots=ROOTS,
    )


def test_it_is_shipped_with_what_it_needs_and_the_members_find_it(options, capfd):
    (folder, written), _ = build.build(options)
    wheels = {entry.wheel.name: entry.wheel for entry in written.manifest.files if entry.wheel}
    assert wheels.keys() == {"tool", "my-models", "rare-thing", "rare-part"}
    mine = wheels["my-models"]
    assert (mine.version, mine.accepts, mine.licence) == ("0.3", "==0.3", "MIT")
    assert mine.requires == {tag: ["numpy", "rare-thing"] for tag in ("cp311", "cp313")}
    assert wheels["rare-thing"].accepts == ">=1"
    assert "my-models" in (folder / "pylock.toml").read_text()
    said = " ".join(capfd.readouterr().err.split())
    assert "building folder my_models" in said
    assert said.index("building folder") < said.index("whose copy is imported")
    assert manifest.load(folder / "manifest.json").sha256() == written.manifest.sha256()
    checked = subprocess.run(
        [sys.executable, folder / "verify.py"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_bill_of_materials_names_the_source_and_no_path(options, tmp_path):
    (folder, _), _ = build.build(options)
    text = (folder / sbom.NAME).read_text()
    [mine] = [item for item in json.loads(text)["components"] if item["name"] == "my-models"]
    [told] = mine["properties"]
    assert told["name"] == sbom.SOURCE
    assert told["value"].startswith("folder my_models sha256:")
    assert mine["purl"].startswith("pkg:generic/my-models@0.3?")
    assert str(tmp_path) not in text


def test_the_same_sources_give_the_same_bundle_from_a_cold_cache(options, read_tree, tmp_path):
    build.build(options)
    again = dataclasses.replace(options, out=tmp_path / "again", cache=tmp_path / "cold")
    build.build(again)
    assert read_tree(options.out) == read_tree(again.out)


def test_what_it_needs_and_the_lock_has_not_is_named(options, tmp_path):
    write_project(tmp_path / "needy", "needy", requires=["not-locked"])
    options.foreign.write_text("needy\n")
    with pytest.raises(KitError, match=r"the lock has no pin for Python 3\.\d+ of not-locked"):
        build.build(options)
    assert not options.out.exists()


def test_two_foreign_sources_may_need_each_other(options, tmp_path):
    write_project(tmp_path / "second", "second", requires=["my-models==0.3"])
    options.foreign.write_text("my_models\nsecond\n")
    (_, written), _ = build.build(options)
    [second] = [
        entry.wheel for entry in written.manifest.files if entry.wheel and entry.wheel.name == "second"
    ]
    assert second.requires["cp313"] == ["my-models"]


def test_one_without_a_licence_stops_the_build_until_it_is_accepted(options, tmp_path):
    write_project(tmp_path / "secret", "secret", licence="")
    options.foreign.write_text("my_models\nsecret\n")
    with pytest.raises(KitError, match="secret: its METADATA names no licence"):
        build.build(options)
    build.build(dataclasses.replace(options, accept_licence=("secret",)))


def test_one_in_whose_place_the_image_would_import_its_own_is_refused(options, make_ensemble, tmp_path):
    """kaggle-2026-09 is known to have uv 0.11.13."""
    write_project(tmp_path / "my_uv", "uv", "0.11.13")
    options.foreign.write_text("my_uv\n")
    plain = make_ensemble(requires=("tool",), folder="plain")
    there = dataclasses.replace(options, ensembles=[plain], targets=("kaggle-2026-09",))
    with pytest.raises(
        KitError, match=r"keeps its own uv \(the same version\): the source would not"
    ) as error:
        build.build(there)
    assert "another version" in error.value.fix
    write_project(tmp_path / "other_uv", "uv", "0.11.13.1")
    options.foreign.write_text("other_uv\n")
    build.build(there)


def test_the_command_line_takes_the_list_and_names_a_missing_one(options, capsys):
    command = ["build", "--ensemble", options.ensembles[0], "--out", options.out, "--cache", options.cache]
    command += [
        "--lock",
        options.lock,
        "--target",
        "cp313",
        "--foreign",
        options.foreign.with_name("absent.in"),
    ]
    assert run_cli(cli.main, list(map(str, command))) == 2
    assert "the list of foreign sources cannot be read" in capsys.readouterr().err
    assert not Path(options.out).exists()
