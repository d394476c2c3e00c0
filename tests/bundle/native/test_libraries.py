"""Libraries are kept under what they are made of, and each variant is compiled once."""

import json
import zipfile
from dataclasses import replace

import pytest

from bundle import mmcv_wheel, wheelinfo
from bundle.native import wheel
from bundle.native.compile_program import RESULT
from bundle.native.libraries import libraries
from kit.artefacts import sha256_bytes
from kit.errors import KitError
from kit.local import targets

NAMES = ["kaggle-2026-10", "kaggle-2026-10-cpu", "kaggle-2026-09", "kaggle-cp311-torch2.8"]


@pytest.fixture(scope="module")
def release(mmcv_sdist):
    return mmcv_wheel.release(cache=mmcv_sdist.parent, sdist=mmcv_sdist)


@pytest.fixture
def make(release, tmp_path):
    """Get the libraries of some targets by ways that write what a compiler would."""

    def run(ways, names=NAMES, twin=None):
        images = targets.choose(names, targets.known())
        images += [replace(target, name=f"{target.name}-twin") for target in images if target.name == twin]
        return libraries(images, release, tmp_path / "cache", ways, say=lambda _: None)

    return run


def closed(order, target, folder, log):
    return "the shop is closed"


def writes(order, target, folder, log):
    data = f"library of {order.identity}".encode()
    (folder / f"{order.variant.module}.so").write_bytes(data)
    told = {"order": order.identity, "sha256": sha256_bytes(data)}
    (folder / RESULT).write_text(json.dumps(told))


def test_the_first_way_that_is_open_is_taken_and_the_result_is_kept(make):
    found, missing = make({"here": closed, "docker": writes})
    assert missing == {}
    assert [library.how for library in found] == ["docker"] * 4
    again, _ = make({})
    assert [library.how for library in again] == ["kept"] * 4
    assert [library.path for library in again] == [library.path for library in found]


def test_targets_with_the_same_torch_and_python_share_a_library(make):
    found, missing = make({"here": writes}, twin="kaggle-2026-10")
    variants = [(library.variant.tag, library.variant.module) for library in found]
    assert sorted(variants) == [
        ("cp311", "_native_torch2_8_cu12_8"),
        ("cp312", "_native_torch2_10_cu12_8"),
        ("cp313", "_native_torch2_11_cpu"),
        ("cp313", "_native_torch2_11_cu12_8"),
    ]
    assert missing == {}


def test_a_target_of_which_too_little_is_known_says_what(make):
    found, missing = make({"here": writes}, ["kaggle-2026-09-cpu"])
    assert (found, missing) == ([], {"kaggle-2026-09-cpu": "its torch is not known"})


@pytest.mark.parametrize("damage", ["damaged", '{"order": ', "[]"])
@pytest.mark.parametrize("which", ["library", "description"])
def test_a_damaged_one_is_made_again(make, which, damage):
    found, _ = make({"here": writes}, NAMES[:1])
    path = found[0].path if which == "library" else found[0].path.with_name(RESULT)
    good = path.read_bytes()
    path.write_text(damage)
    again, _ = make({"here": writes}, NAMES[:1])
    assert again[0].how == "here"
    assert path.read_bytes() == good


def test_a_target_has_the_library_that_a_later_one_got(make):
    def first_is_unknown(order, target, folder, log):
        if not target.name.endswith("-twin"):
            return "its container is not known"
        return writes(order, target, folder, log)

    found, missing = make({"docker": first_is_unknown}, NAMES[:1], twin=NAMES[0])
    assert ([library.how for library in found], missing) == (["docker"], {})


def test_where_no_way_is_open_every_reason_is_told(make):
    found, missing = make({"here": closed, "docker": closed}, NAMES[:1])
    assert found == []
    assert missing == {NAMES[0]: "here: the shop is closed; docker: the shop is closed"}


def test_what_comes_back_and_is_not_what_was_ordered_is_refused(make):
    def other(order, target, folder, log):
        writes(order, target, folder, log)
        (folder / RESULT).write_text('{"order": "another"}')

    with pytest.raises(KitError, match=r"what came back \(here\) is not the library that was ordered"):
        make({"here": other}, NAMES[:1])


def test_a_wheel_holds_the_libraries_of_its_python_beside_the_portable_operators(make, release, tmp_path):
    found, _ = make({"here": writes})
    made = wheel.wheels(found, release, tmp_path / "out")
    assert sorted(made) == ["cp311", "cp312", "cp313"]
    again = wheel.wheels(found, release, tmp_path / "again")
    assert {tag: path.read_bytes() for tag, path in made.items()} == {
        tag: path.read_bytes() for tag, path in again.items()
    }
    info = wheelinfo.read(made["cp313"])
    assert info.path.name == "mmcv_full-1.7.2-1native-cp313-cp313-linux_x86_64.whl"
    assert info.tag_names() == ["cp313-cp313-linux_x86_64"]
    with zipfile.ZipFile(info.path) as archive:
        names = set(archive.namelist())
    suffix = ".cpython-313-x86_64-linux-gnu.so"
    expected = {f"mmcv/_native_torch2_11_{device}{suffix}" for device in ("cpu", "cu12_8")}
    assert {name for name in names if name.endswith(".so")} == expected
    assert {"mmcv/_ext.py", "mmcv/_portable_ext.py", "mmcv/_native_check.py"} <= names
