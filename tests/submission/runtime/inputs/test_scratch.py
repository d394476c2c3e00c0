import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.manifest import Entry, Wheel
from submission.runtime.inputs import scratch
from submission.runtime.inputs.scratch import Place, choose_scratch, look_at, pick, space_needed

GB = 10**9


@pytest.fixture
def disks(tmp_path, monkeypatch):
    """Three disks of made-up sizes: TMPDIR's, the output folder, memory."""
    folders = {name: tmp_path / name for name in ("temporary", "output", "memory")}
    for folder in folders.values():
        folder.mkdir()
    for name in ("TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(folders["temporary"]))
    monkeypatch.setattr(scratch, "_USUAL", ())
    monkeypatch.setattr(scratch, "_IN_MEMORY", str(folders["memory"]))
    free = dict.fromkeys(folders, 0)
    real = os.statvfs

    def statvfs(path):
        name = Path(path).relative_to(tmp_path).parts[0]
        values = list(real(path))
        values[1], values[4] = 1, free[name]  # f_frsize, f_bavail
        values[6] = values[7] = 10**6  # f_ffree, f_favail
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return folders, free


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        ((30, 30, 30), "temporary"),
        ((1, 30, 30), "output"),
        ((1, 1, 30), "memory"),
        ((1, 2, 3), "output"),  # half of the memory is kept for the networks
        ((3, 2, 1), "temporary"),
    ],
)
def test_the_first_disk_with_enough_room_is_taken(disks, gigabytes, expected):
    folders, free = disks
    free.update(zip(free, (size * GB for size in gigabytes), strict=True))
    chosen = choose_scratch(10 * GB, folders["output"])
    assert chosen.folder.parent == folders[expected]
    assert chosen.folder.is_dir()
    assert chosen.in_output == (expected == "output")
    assert (chosen.note is None) == (gigabytes[0] == 30)
    if gigabytes == (1, 30, 30):
        assert chosen.note == (
            f"temporary files go to {folders['output']} (30 GB free): they may need 10 GB, and "
            f"{folders['temporary']} has 1 GB"
        )
    if chosen.note is not None and "go to" not in chosen.note:
        assert "TMPDIR" in chosen.note
    left = [path.name for folder in folders.values() for path in folder.iterdir()]
    assert left == [chosen.folder.name]


def test_a_folder_that_cannot_be_written_is_passed_over(disks, monkeypatch):
    folders, free = disks
    free.update(dict.fromkeys(free, 30 * GB))
    monkeypatch.setenv("TMPDIR", str(folders["temporary"] / "absent"))
    chosen = choose_scratch(GB, folders["output"])
    assert chosen.in_output
    assert chosen.note is not None
    assert "TMPDIR cannot be used" in chosen.note


def test_without_any_folder_the_places_and_the_way_out_are_named(disks, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    monkeypatch.setattr(scratch, "_IN_MEMORY", str(tmp_path / "no memory"))
    with pytest.raises(KitError, match=r"no temporary folder can be made in .*absent[\s\S]*TMPDIR") as caught:
        choose_scratch(GB, tmp_path / "no output")
    assert "no output" in str(caught.value)


def test_a_disk_that_loads_no_libraries_or_has_no_room_for_files_is_the_last_choice():
    noexec = Place(Path("/a"), 100 * GB, 10**6, executable=False)
    crowded = Place(Path("/b"), 50 * GB, 10)
    small = Place(Path("/c"), 2 * GB, 10**6)
    assert pick([noexec, crowded, small], GB) is small
    assert pick([noexec, crowded, small], 3 * GB) is small
    assert pick([noexec, crowded], GB) is noexec
    assert "no library" in str(noexec)
    assert "10 files" in str(crowded)


@given(st.lists(st.builds(Place, st.just(Path("/x")), st.integers(0, 99), st.just(10**6)), min_size=1))
def test_where_one_disk_has_room_none_without_room_is_taken(places):
    chosen = pick(places, 50)
    assert chosen.has(50) or not any(place.has(50) for place in places)
    assert chosen.has(50) or chosen.free == max(place.free for place in places)


def test_a_disk_mounted_without_execution_is_seen(in_namespace, tmp_path):
    code = "import sys; from submission.runtime.inputs.scratch import *; print(look_at(Path(sys.argv[1])))"
    for options, told in (("exec", "GB\n"), ("noexec", "GB, but no library can be loaded from there\n")):
        python = f"cd {Path(__file__).parents[4]}; mount -t tmpfs -o size=64m,{options} none {tmp_path}"
        done = in_namespace(python, os.sys.executable, "-c", code, str(tmp_path))
        assert done.stdout.endswith(told), done.stdout


def test_a_look_leaves_nothing_behind(tmp_path):
    assert look_at(tmp_path) is not None
    assert look_at(tmp_path / "absent") is None
    assert not list(tmp_path.iterdir())


def test_what_is_needed_counts_copies_and_unpacked_wheels():
    wheel = Wheel(name="a", version="1", tags=[], licence="", accepts="", requires={})
    entries = [
        Entry(file="w.zip/a.whl", size=10, sha256="0" * 64, role="wheel", wheel=wheel),
        Entry(file="open.safetensors", size=1000, sha256="0" * 64, role="weights"),
        Entry(file="m.zip/packed.safetensors", size=100, sha256="0" * 64, role="weights"),
    ]
    assert space_needed(entries, 5.0) - space_needed([]) == 10 + 40 + 100 + 5
