import hashlib
import os
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.artefacts import sha256_file
from kit.errors import KitError
from kit.manifest import Entry
from submission.runtime.inputs.mounts import File
from submission.runtime.inputs.restore import Restorer, plain_name

CONTENT = random.Random(1).randbytes(300_000)


def entry_of(path: Path, file: str | None = None, **more) -> Entry:
    return Entry(
        file=file or path.name, size=path.stat().st_size, sha256=sha256_file(path), role="weights", **more
    )


def index(folder: Path) -> list[File]:
    return [File(path, path.stat().st_size) for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.fixture
def bundled(tmp_path):
    """The manifest's entry of a file, and a restorer factory for what became of it in tmp_path/mount."""
    original = tmp_path / "made" / "member0.safetensors"
    original.parent.mkdir()
    original.write_bytes(CONTENT)
    mount = tmp_path / "mount"
    mount.mkdir()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return entry_of(original), mount, lambda: Restorer(index(mount), scratch)


def test_a_file_in_place_is_taken_as_it_is(bundled):
    entry, mount, restorer = bundled
    (mount / entry.file).write_bytes(CONTENT)
    found = restorer().find(entry)
    assert (found.path, found.how) == (mount / entry.file, "as is")


def test_a_renamed_file_in_another_folder_is_found_by_its_content(bundled):
    entry, mount, restorer = bundled
    moved = mount / "versions" / "3" / "deeper" / "member-1.bin"
    moved.parent.mkdir(parents=True)
    moved.write_bytes(CONTENT)
    (mount / "decoy").write_bytes(random.Random(2).randbytes(len(CONTENT)))
    found = restorer().find(entry)
    assert (found.path, found.how) == (moved, "renamed")


def message(restorer, entry) -> str:
    with pytest.raises(KitError) as caught:
        restorer().find(entry)
    return str(caught.value)


def test_a_missing_file_is_named_with_what_was_expected(bundled):
    entry, mount, restorer = bundled
    (mount / "manifest.json").write_text("{}")
    text = message(restorer, entry)
    assert text.startswith(
        f"member0.safetensors is missing: expected 300000 bytes, sha256 {entry.sha256}; no file among"
    )
    assert "the 1 attached" in text
    assert "attach the dataset that predict.py names in its header" in text


def test_a_truncated_file_is_told_with_both_sizes(bundled):
    entry, mount, restorer = bundled
    (mount / entry.file).write_bytes(CONTENT[:-1000])
    text = message(restorer, entry)
    assert "member0.safetensors is truncated: expected 300000 bytes" in text
    assert "found 299000 bytes" in text
    assert str(mount / entry.file) in text


def test_one_flipped_bit_is_told_with_both_hashes(bundled):
    entry, mount, restorer = bundled
    damaged = bytearray(CONTENT)
    damaged[123_456] ^= 4
    (mount / entry.file).write_bytes(damaged)
    text = message(restorer, entry)
    assert f"member0.safetensors is damaged: expected 300000 bytes, sha256 {entry.sha256}" in text
    assert f"found the same size, sha256 {hashlib.sha256(damaged).hexdigest()}" in text


def test_a_stripped_plus_does_not_hide_that_the_file_is_truncated(bundled):
    entry, mount, restorer = bundled
    entry = Entry(file="tool-1.0+cu128-py3-none-any.whl", size=entry.size, sha256=entry.sha256, role="wheel")
    (mount / "tool-1.0cu128-py3-none-any.whl").write_bytes(CONTENT[:5])
    assert "tool-1.0+cu128-py3-none-any.whl is truncated" in message(restorer, entry)


@pytest.fixture
def checkpoint(tmp_path):
    """A zip-like weight file as torch writes them, with its entry."""
    path = tmp_path / "made" / "epoch_12.pth"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, size in (("data.pkl", 900), ("version", 2), ("data/0", 5000), ("data/1", 5000)):
            archive.writestr(f"archive/{name}", random.Random(name).randbytes(size))
    with zipfile.ZipFile(path) as archive:
        members = {
            item.filename: [item.file_size, hashlib.sha256(archive.read(item)).hexdigest()]
            for item in archive.infolist()
        }
    return path, entry_of(path, members=members)


@pytest.mark.parametrize("inner", ["epoch_12.pth/archive", "epoch_12.pth", "epoch_12/archive/archive"])
def test_a_weight_file_unpacked_into_a_folder_is_packed_again(bundled, checkpoint, inner):
    _, mount, restorer = bundled
    path, entry = checkpoint
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            target = mount / inner / item.filename.removeprefix("archive/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(item))
    found = restorer().find(entry)
    assert found.how == "packed again"
    assert found.path.name == "epoch_12.pth"
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(found.path) as after:
        assert {name: before.read(name) for name in before.namelist()} == {
            name: after.read(name) for name in after.namelist()
        }


def test_an_unpacked_archive_without_dates_is_packed_again(bundled, checkpoint):
    _, mount, restorer = bundled
    path, entry = checkpoint
    with zipfile.ZipFile(path) as archive:
        archive.extractall(mount / "epoch_12.pth")
    for member in mount.rglob("*"):
        os.utime(member, (0, 0))
    assert restorer().find(entry).how == "packed again"


def test_an_archive_that_cannot_be_packed_again_costs_itself_only(bundled, checkpoint, tmp_path):
    entry, mount, restorer = bundled
    path, packed = checkpoint
    with zipfile.ZipFile(path) as archive:
        archive.extractall(mount / "epoch_12.pth")
    (mount / entry.file).write_bytes(CONTENT)
    (tmp_path / "scratch" / "epoch_12.pth").mkdir()  # in the way
    found, errors = restorer().restore([packed, entry])
    assert [item.entry for item in found] == [entry]
    assert "epoch_12.pth was unpacked and cannot be packed again" in str(errors["epoch_12.pth"])


def test_an_unpacked_weight_file_with_a_damaged_member_is_told(bundled, checkpoint):
    _, mount, restorer = bundled
    path, entry = checkpoint
    with zipfile.ZipFile(path) as archive:
        archive.extractall(mount / "epoch_12.pth")
    member = mount / "epoch_12.pth" / "archive" / "data" / "1"
    member.write_bytes(b"x" + member.read_bytes()[1:])
    text = message(restorer, entry)
    assert "epoch_12.pth was unpacked and some of its 4 members are missing or damaged" in text
    assert "epoch_12.pth" in text.splitlines()[1]


def test_what_is_found_is_announced_in_order_and_the_rest_is_told(bundled, tmp_path):
    entry, mount, restorer = bundled
    entries = []
    for number in range(5):
        path = tmp_path / f"part{number}.bin"
        path.write_bytes(random.Random(number).randbytes(1000 * (5 - number)))
        entries.append(entry_of(path))
        if number != 2:
            path.rename(mount / path.name)
    announced = []
    found, errors = restorer().restore([*entries, entry], lambda item: announced.append(item.entry.file))
    assert (
        announced
        == [item.entry.file for item in found]
        == ["part0.bin", "part1.bin", "part3.bin", "part4.bin"]
    )
    assert sorted(errors) == ["member0.safetensors", "part2.bin"]


@pytest.mark.parametrize("size", [0, 1, (4 << 20) - 1, 4 << 20, (9 << 20) + 5])
def test_hashing_with_read_ahead_equals_plain_hashing(bundled, size):
    _, mount, restorer = bundled
    path = mount / "large.bin"
    path.write_bytes(random.Random(size).randbytes(size))
    assert restorer().find(entry_of(path)).path == path


@given(st.text(alphabet="abcXYZ019.-_", min_size=1), st.sampled_from("+~=é"))
def test_names_that_kaggle_strips_stay_recognisable(name, stripped):
    assert plain_name(stripped.join(name)) == plain_name(name)
