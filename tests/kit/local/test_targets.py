import json
from dataclasses import asdict, replace

import pytest
from packaging.markers import default_environment

from kit.errors import KitError
from kit.local import targets
from kit.local.targets.facts import facts

KNOWN = targets.known()
ONE_EACH = ("kaggle-2026-09", "kaggle-2026-10", "local-cp311")


def target(tag):
    return next(item for item in targets.choose(ONE_EACH, KNOWN) if item.tag == tag)


def test_a_bundle_serves_four_generations_of_images_for_gpu_and_cpu():
    seen = {(item.tag, item.accelerator) for item in KNOWN if item.accelerator is not None}
    assert seen == {(tag, kind) for tag in ("cp311", "cp312", "cp313") for kind in ("gpu", "cpu")}
    torch = {(item.tag, item.torch) for item in KNOWN if item.accelerator == "gpu"}
    assert torch == {("cp311", "2.8.0"), ("cp312", "2.10.0"), ("cp312", "2.11.0"), ("cp313", "2.11.0")}
    assert [item.name for item in KNOWN] == sorted(item.name for item in KNOWN)


@pytest.mark.parametrize("item", KNOWN, ids=lambda item: item.name)
def test_every_fact_is_told_and_an_unknown_one_is_told_as_such(item):
    told = {fact.name: fact.value for fact in facts(item)}
    assert told["Python"] == item.python
    assert ("GPUs" in told) == (item.accelerator != "cpu")
    assert told["container"] is item.image
    assert told["torch"] == item.torch
    assert "" not in told.values(), "an unknown fact is None, not an empty text"
    # Whoever says when a fact was seen says where, and the other way round.
    assert (item.observed is None) == (item.source is None)
    if item.accelerator == "cpu":
        assert (item.gpus, item.cuda, item.driver, item.torch_arch) == ([], None, None, None)


def test_a_description_without_the_newer_facts_can_still_be_read(tmp_path):
    value = json.loads(target_json("kaggle-2026-10"))
    for name in ("accelerator", "driver", "torch_arch", "ram_gb", "cores", "disks", "requires", "observed"):
        del value[name]
    path = tmp_path / "older.json"
    path.write_text(json.dumps(value))
    unknown = {fact.name for fact in facts(targets.load(path)) if fact.value is None}
    assert unknown >= {"memory", "disks", "driver"}


@pytest.mark.parametrize("item", KNOWN, ids=lambda item: item.name)
def test_what_is_the_images_business_is_never_shipped(item):
    for name in ("torch", "TorchVision", "numpy", "triton", "nvidia-cublas-cu12", "cuda_bindings"):
        assert item.leaves_to_image(name)
    for name in ("mmdet", "timm", "torchmetrics", "numpydoc"):
        assert not item.leaves_to_image(name)


@pytest.mark.parametrize("item", KNOWN, ids=lambda item: item.name)
def test_an_image_has_what_its_own_fields_say(item):
    for name in ("torch", "torchvision", "numpy"):
        assert item.image_has[name] == getattr(item, name)
    assert item.notes


def test_markers_have_every_variable_there_is():
    assert marker_names() == set(targets.marker_environment("3.13"))
    assert targets.marker_environment("3.12.13")["python_version"] == "3.12"
    assert targets.marker_environment("3.12.13")["python_full_version"] == "3.12.13"


def marker_names():
    return set(default_environment())


@pytest.mark.parametrize("text", ["3", "3.x", "", "3.13.1.2", "2.7", "4.0", "3.²"])
def test_a_python_version_of_another_form_is_refused(text):
    with pytest.raises(KitError, match="is not a version of Python 3"):
        targets.marker_environment(text)


@pytest.mark.parametrize("text", ["two", "2", "2.28.1", ""])
def test_a_glibc_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "it.json").write_text(json.dumps(asdict(replace(target("cp313"), glibc=text))))
    with pytest.raises(KitError, match="is no version of glibc"):
        targets.known(tmp_path)


def test_a_folder_without_a_description_is_told(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(KitError, match="no image is described here"):
            targets.known(folder)


def test_wheels_for_older_platforms_are_accepted_newest_first():
    platforms = target("cp313").platforms()
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert platforms[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert platforms.index("manylinux_2_17_x86_64") + 1 == platforms.index("manylinux2014_x86_64")
    assert "manylinux_2_34_x86_64" not in platforms


def test_a_freeze_fills_the_versions_that_are_open_and_adds_no_names():
    frozen = replace(target("cp313"), freeze={"Torch": "2.12.0+cu130", "NumPy": "2.5.0+x", "wandb": "1"})
    packages = frozen.packages()
    assert packages.keys() == frozen.image_has.keys()
    assert (packages["numpy"], packages["torch"], packages["scipy"]) == ("2.5.0", "2.11.0", None)


def test_targets_are_chosen_by_name_or_tag_and_unknown_ones_list_the_known():
    assert targets.choose([], KNOWN) == KNOWN
    assert [item.name for item in targets.choose(["cp313", "local-cp311"], KNOWN)] == [
        "kaggle-2026-10",
        "kaggle-2026-10-cpu",
        "local-cp311",
    ]
    with pytest.raises(KitError, match="no target is named 'cp39'") as error:
        targets.choose(["cp39"], KNOWN)
    assert "kaggle-2026-10 (cp313)" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tag": "cp312"}, "tag cp312 is not that of Python 3.13"),
        ({"colour": "red"}, "unknown key colour"),
        ({"python": "three"}, "is not that of Python three"),
    ],
)
def test_a_wrong_target_file_is_told_with_its_path(tmp_path, change, message):
    source = {
        **json.loads(target_json("kaggle-2026-10")),
        **change,
    }
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(source))
    with pytest.raises(KitError) as error:
        targets.load(path)
    assert message in str(error.value)
    assert "wrong.json" in str(error.value)


def target_json(name):
    from importlib.resources import files

    return (files("kit.local.targets") / f"{name}.json").read_text()
