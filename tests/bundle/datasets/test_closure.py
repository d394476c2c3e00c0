import dataclasses
import sys

import pytest

from bundle import wheelinfo
from bundle.closure import walk
from bundle.pip_download import WheelCache
from bundle.roots import Root
from bundle.wheels import closure_for, combine
from kit.errors import KitError
from kit.local import targets
from kit.local.lockfile import Pin

NAMES = ("kaggle-2026-09", "kaggle-2026-10", "local-cp311")
KNOWN = {item.tag: item for item in targets.choose(NAMES, targets.known())}


@pytest.fixture
def fetch(index):
    """Return wheels of the index by name, and record which were asked for."""
    asked = []

    def get(names):
        asked.append(list(names))
        found = {info.name: info for info in map(wheelinfo.read, index.folder.glob("*.whl"))}
        return {name: found[name] for name in names}

    get.asked = asked
    return get


def test_markers_count_as_on_the_target_not_as_on_the_python_that_runs_us(index, fetch):
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    index.add("tool", requires=[f'only-{tag} ; python_version == "3.{tag[3:]}"' for tag in KNOWN])
    for tag in KNOWN:
        index.add(f"only-{tag}")
    found = {tag: set(walk(["tool"], target, fetch).wheels) for tag, target in KNOWN.items()}
    assert found == {tag: {"tool", f"only-{tag}"} for tag in KNOWN}
    assert sum(f"cp{here.replace('.', '')}" != tag for tag in found) >= 2


def test_each_level_of_needs_is_fetched_at_once_and_nothing_twice(index, fetch):
    index.add("top", requires=["left", "right"])
    index.add("left", requires=["deep"])
    index.add("right", requires=["deep", "left"])
    index.add("deep", requires=["top"])
    closure = walk(["top"], KNOWN["cp313"], fetch)
    assert [names for names in fetch.asked if names] == [["top"], ["left", "right"], ["deep"]]
    assert closure.requires == {
        "top": ["left", "right"],
        "left": ["deep"],
        "right": ["deep", "left"],
        "deep": ["top"],
    }


def test_an_extra_asked_for_late_brings_its_needs(index, fetch):
    index.add("top", requires=["client", "later"])
    index.add("client", requires=['speed ; extra == "fast"'])
    index.add("later", requires=["client[fast]"])
    index.add("speed")
    closure = walk(["top"], KNOWN["cp313"], fetch)
    assert set(closure.wheels) == {"top", "client", "later", "speed"}
    assert closure.requires["client"] == ["speed"]


def test_torch_numpy_and_cuda_are_left_to_the_image(index, fetch):
    index.add("tool", requires=["torch>=2", "numpy", "nvidia-cublas-cu12", "helper"])
    index.add("helper", requires=["numpy>=2"])
    closure = walk(["tool"], KNOWN["cp312"], fetch)
    assert set(closure.wheels) == {"tool", "helper"}
    assert {name: str(spec) for name, spec in closure.left.items()} == {
        "torch": ">=2",
        "numpy": ">=2",
        "nvidia-cublas-cu12": "",
    }
    assert "torch" in closure.requires["tool"]


def test_a_wheel_too_new_for_the_images_numpy_is_refused_before_it_is_shipped(index, fetch):
    index.add("tool", requires=["numpy>=2.3"])
    with pytest.raises(
        KitError, match=r"tool needs numpy>=2\.3; the image kaggle-2026-09 has 2\.0\.2 and keeps it"
    ) as error:
        walk(["tool"], KNOWN["cp312"], fetch)
    assert "pin an older tool" in str(error.value)
    assert walk(["tool"], KNOWN["cp313"], fetch).wheels  # its numpy is not known


def test_a_pin_that_a_dependent_does_not_accept_is_told_with_both_names(index, fetch):
    index.add("tool", requires=["helper<1"])
    index.add("helper", "1.0")
    with pytest.raises(KitError, match=r"tool needs helper<1, but the lock pins 1\.0"):
        walk(["tool"], KNOWN["cp313"], fetch)


def test_a_name_the_lock_does_not_have_is_told(index, tmp_path):
    index.add("tool", requires=["forgotten"])
    with pytest.raises(KitError, match=r"the lock has no pin for Python 3\.13 of forgotten") as error:
        closure_for(["tool"], index.pins(), KNOWN["cp313"], WheelCache(tmp_path / "cache"), {})
    assert "requirements.in" in str(error.value)


def test_a_pin_for_another_python_does_not_count(index, tmp_path):
    index.add("tool")
    [pin] = index.pins()
    elsewhere = dataclasses.replace(pin, marker='python_version == "3.11"')
    with pytest.raises(KitError, match=r"the lock has no pin for Python 3\.13 of tool"):
        closure_for(["tool"], [elsewhere], KNOWN["cp313"], WheelCache(tmp_path / "cache"), {})


def test_our_own_wheels_need_no_pin_and_bring_what_they_need(index, tmp_path):
    own = index.add("ours", requires=["helper"])
    index.add("helper")
    pins = [pin for pin in index.pins() if pin.name != "ours"]
    closure = closure_for(["ours"], pins, KNOWN["cp313"], WheelCache(tmp_path / "cache"), {"ours": own})
    assert closure.wheels["ours"].path == own
    assert set(closure.wheels) == {"ours", "helper"}


def test_a_wheel_that_was_built_again_is_read_again(index, tmp_path):
    index.add("helper")
    pins, cache = index.pins(), WheelCache(tmp_path / "cache")
    found = []
    for needs in ([], ["helper"]):
        own = index.add("ours", requires=needs)
        closures = [
            closure_for(["ours"], pins, KNOWN[tag], cache, {"ours": own}) for tag in ("cp311", "cp313")
        ]
        found.append([set(closure.wheels) for closure in closures])
    assert found == [[{"ours"}] * 2, [{"ours", "helper"}] * 2]


def test_notes_of_the_lock_are_only_a_guess(index, tmp_path):
    index.add("tool", requires=["needed"])
    index.add("needed")
    pins = [*index.pins(), Pin(name="gone", version="1.0", hashes=("0" * 64,), via=("tool",))]
    closure = closure_for(["tool"], pins, KNOWN["cp313"], WheelCache(tmp_path / "cache"), {})
    assert set(closure.wheels) == {"tool", "needed"}


def test_wheels_shared_by_targets_are_listed_once_with_what_each_needs_there(index, fetch):
    index.add(
        "tool", requires=['helper>=1 ; python_version < "3.13"', 'helper<2 ; python_version >= "3.13"', "old"]
    )
    index.add("helper")
    index.add("old", requires=['tomli ; python_version == "3.11"'])
    index.add("tomli")
    closures = [walk(["tool"], KNOWN[tag], fetch) for tag in ("cp311", "cp313")]
    shipped = {
        item.wheel.name: item.wheel for item in combine(closures, [Root("tool", exact=True, why="test")])
    }
    assert shipped["tool"].accepts == "==1.0"
    assert shipped["helper"].accepts == "<2,>=1"
    assert shipped["old"].accepts == ""
    assert shipped["old"].requires == {"cp311": ["tomli"], "cp313": []}
    assert set(shipped["tomli"].requires) == {"cp311"}
