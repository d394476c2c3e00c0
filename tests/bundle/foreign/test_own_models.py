"""The source of a model of one's own becomes a wheel; bytes and version are made of the source alone."""

import zipfile
from dataclasses import replace

import pytest

from bundle.foreign.own_models import own_model_wheels, roots_for
from bundle.roots import BASE_ROOTS, ROOTS
from kit.ensemble import Ensemble, Member, Pass, Rung
from kit.errors import KitError
from kit.local import own_sources, targets

IMAGES = targets.known()[:2]


def plan_of(folder, files, *, module="team_net", requires=("timm",), competition="cells"):
    """An ensemble.json's folder with the source in it, and the ensemble."""
    own_sources.place(files, folder / own_sources.FOLDER)
    network = {
        "network": "own",
        "module": module,
        "class_name": "Net",
        "source": own_sources.digest(files),
        "requires": list(requires),
    }
    member = Member(
        name="a",
        weights="a.safetensors",
        sha256="0" * 64,
        size=1,
        network=network,
        inference={"size": 64},
        requires=[own_sources.distribution(module), *requires],
    )
    return Ensemble(
        competition=competition,
        kind="semantic",
        members=[member],
        passes=[Pass(member=0, view="identity")],
        rungs=[Rung(passes=[0], weights=[1.0], settings={}, cv=None)],
    )


FILES = {"team_net.py": b"class Net: pass\n"}


def built(folder, files, cache, **more):
    return own_model_wheels({folder / "ensemble.json": plan_of(folder, files, **more)}, IMAGES, cache)


def test_the_same_source_gives_the_same_wheel_and_another_one_another_version(tmp_path):
    [one] = built(tmp_path / "a", FILES, tmp_path / "cache")
    [again] = built(tmp_path / "b", FILES, tmp_path / "other")
    paths = [item.by_target[IMAGES[0].name].path for item in (one, again)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert (one.name, one.version) == ("own-team-net", again.version)
    [changed] = built(tmp_path / "c", {"team_net.py": b"class Net: x = 1\n"}, tmp_path / "cache")
    assert changed.version != one.version
    with zipfile.ZipFile(paths[0]) as archive:
        assert archive.read("team_net.py") == FILES["team_net.py"]
        assert b"Requires-Dist: timm" in archive.read(f"own_team_net-{one.version}.dist-info/METADATA")
    assert one.needs(IMAGES[0]) == ["timm"]
    assert one.origin.text.startswith("model team_net sha256:")


def test_a_package_travels_with_all_its_python_files(tmp_path):
    files = {"team_net/__init__.py": b"from .parts import Net\n", "team_net/parts.py": b"class Net: pass\n"}
    [wheel] = built(tmp_path / "a", files, tmp_path / "cache")
    with zipfile.ZipFile(wheel.by_target[IMAGES[0].name].path) as archive:
        assert set(files) <= set(archive.namelist())


def test_an_ensemble_without_own_models_needs_no_folder(tmp_path):
    plan = plan_of(tmp_path / "a", FILES)
    others = [replace(plan.members[0], network={"network": "unet-regnety16"})]
    assert own_model_wheels({tmp_path / "x.json": replace(plan, members=others)}, IMAGES, tmp_path) == []


@pytest.mark.parametrize("what", ["missing", "changed"])
def test_a_source_that_is_not_the_one_that_was_added_is_refused(tmp_path, what):
    plan = plan_of(tmp_path, FILES)
    source = tmp_path / own_sources.FOLDER / "team_net.py"
    if what == "missing":
        source.unlink()
    else:
        source.write_text("class Net: x = 2\n")
    with pytest.raises(KitError, match=what):
        own_model_wheels({tmp_path / "ensemble.json": plan}, IMAGES, tmp_path / "cache")


def test_two_ensembles_with_different_modules_of_one_name_are_refused(tmp_path):
    first = plan_of(tmp_path / "a", FILES)
    second = plan_of(tmp_path / "b", {"team_net.py": b"class Net: x = 1\n"}, competition="body")
    plans = {tmp_path / "a" / "ensemble.json": first, tmp_path / "b" / "ensemble.json": second}
    with pytest.raises(KitError, match="different modules called team_net"):
        own_model_wheels(plans, IMAGES, tmp_path / "cache")


def test_an_ensemble_of_own_models_alone_ships_nothing_for_the_kits_networks(tmp_path):
    own = plan_of(tmp_path, FILES)
    assert {root.name for root in roots_for([own], ROOTS)} == {"timm", *(root.name for root in BASE_ROOTS)}
    network = {"network": "unet-regnety16"}
    other = replace(own.members[0], name="b", weights="b.safetensors", sha256="1" * 64, network=network)
    both = replace(own, members=[*own.members, other])
    assert roots_for([both], ROOTS) == roots_for([own, replace(own, members=[other])], ROOTS) == list(ROOTS)
