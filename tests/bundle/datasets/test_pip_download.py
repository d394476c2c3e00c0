"""pip itself, on a folder of wheels instead of an index."""

import dataclasses
import json

import pytest

from bundle.pip_download import WheelCache
from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.local import targets

NAMES = ("kaggle-2026-09", "kaggle-2026-10", "local-cp311")
KNOWN = {item.tag: item for item in targets.choose(NAMES, targets.known())}


@pytest.fixture
def cache(tmp_path):
    return WheelCache(tmp_path / "cache")


def test_each_target_gets_its_own_best_wheel_whatever_the_cache_was_filled_for(index, cache):
    index.add("tool", tag="cp38-abi3-manylinux2014_x86_64")
    index.add("tool", tag="cp313-cp313-manylinux_2_28_x86_64")
    index.add("tool", tag="cp313-cp313-manylinux_2_34_x86_64")  # newer than what we count on
    pins = index.pins()
    chosen = {tag: cache.fetch(pins, KNOWN[tag])["tool"].name for tag in ("cp312", "cp313", "cp312")}
    assert chosen == {
        "cp312": "tool-1.0-cp38-abi3-manylinux2014_x86_64.whl",
        "cp313": "tool-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
    }


def test_a_filled_cache_needs_no_index(index, cache, monkeypatch):
    index.add("tool")
    pins = index.pins()
    first = cache.fetch(pins, KNOWN["cp313"])
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert cache.fetch(pins, KNOWN["cp313"]) == first


def test_a_damaged_wheel_in_the_cache_is_fetched_again(index, cache):
    index.add("tool")
    pins = index.pins()
    path = cache.fetch(pins, KNOWN["cp313"])["tool"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert sha256_file(cache.fetch(pins, KNOWN["cp313"])["tool"]) in pins[0].hashes


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"tool": {}}'])
def test_a_damaged_list_of_what_the_cache_holds_is_written_again(index, cache, text):
    index.add("tool")
    pins = index.pins()
    path = cache.fetch(pins, KNOWN["cp313"])["tool"]
    [listed] = cache.folder.glob("index-*.json")
    whole = listed.read_text()
    listed.write_text(text)
    assert cache.fetch(pins, KNOWN["cp313"])["tool"] == path
    assert json.loads(listed.read_text()).items() >= json.loads(whole).items()


def test_a_wheel_of_another_hash_is_refused_by_name(index, cache):
    index.add("tool")
    pins = [dataclasses.replace(pin, hashes=("0" * 64,)) for pin in index.pins()]
    with pytest.raises(KitError) as error:
        cache.fetch(pins, KNOWN["cp313"])
    assert "tool==1.0: the sha256 of the downloaded wheel is not in the lock" in str(error.value)
    assert "do not use the wheel" in str(error.value)
    assert not list(cache.folder.glob("*.whl"))


def test_a_pin_without_a_wheel_for_the_target_says_name_version_tag_and_what_to_do(index, cache):
    index.add("plain")
    index.add("tool", "3.1", tag="cp312-cp312-manylinux_2_28_x86_64")
    pins = index.pins()
    for version in ("3.2", "3.10"):
        index.add("tool", version, tag="cp313-cp313-manylinux_2_17_x86_64")
    index.add("tool", "4.0", tag="cp313-cp313-manylinux_2_34_x86_64")  # newer than what we count on
    with pytest.raises(KitError) as error:
        cache.fetch(pins, KNOWN["cp313"])
    assert "tool==3.1 has no wheel for cp313 on manylinux_2_28_x86_64 (kaggle-2026-10)" in str(error.value)
    assert "; 3.10, 3.2 of tool have one" in str(error.value)
    assert "write a release of tool that has one into requirements.in" in str(error.value)
    pins = [dataclasses.replace(pin, via=("some-app",)) for pin in pins]
    with pytest.raises(KitError, match=r"it is needed by some-app"):
        cache.fetch(pins, KNOWN["cp313"])


def test_an_index_out_of_reach_is_told_as_such(index, cache, monkeypatch):
    index.add("tool")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(KitError, match=r"index cannot be reached to download tool==1\.0") as error:
        cache.fetch(index.pins(), KNOWN["cp313"])
    assert "copy the folder of --cache from a machine where this command has run" in str(error.value)


def test_settings_of_the_user_that_change_what_pip_takes_do_not_count(index, cache, monkeypatch, tmp_path):
    index.add("tool")
    (tmp_path / "constraints.txt").write_text("tool==9\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    monkeypatch.setenv("PIP_NO_BINARY", ":all:")
    monkeypatch.setenv("PIP_REQUIREMENT", str(tmp_path / "absent.txt"))
    monkeypatch.setenv("PIP_DRY_RUN", "1")
    assert cache.fetch(index.pins(), KNOWN["cp313"])["tool"].name == "tool-1.0-py3-none-any.whl"


def test_a_proxy_that_is_dead_is_told_as_such(index, cache, monkeypatch):
    index.add("tool")
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(KitError, match=r"index cannot be reached to download tool==1\.0") as error:
        cache.fetch(index.pins(), KNOWN["cp313"])
    assert "HTTPS_PROXY" in str(error.value)


def test_a_cache_that_cannot_be_made_is_named(index, tmp_path):
    index.add("tool")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KitError, match="the folder for downloads cannot be made") as error:
        WheelCache(tmp_path / "file" / "cache").fetch(index.pins(), KNOWN["cp313"])
    assert "with --cache" in str(error.value)


def test_a_real_wheel_comes_from_the_real_index(cache, repo_pins):
    """The one test here that downloads: a small pure wheel and a small compiled one for another Python."""
    pins = [repo_pins["terminaltables"], repo_pins["kiwisolver"]]
    found = cache.fetch(pins, KNOWN["cp312"])
    assert found["terminaltables"].name.endswith("-none-any.whl")
    assert "cp312-cp312-" in found["kiwisolver"].name
    assert all(sha256_file(found[pin.name]) in pin.hashes for pin in pins)
