import hashlib
import io
import random
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.artefacts import sha256_bytes, sha256_file
from kit.errors import KitError
from kit.local.kaggle_names import mangle
from kit.manifest import Entry, Manifest
from submission.runtime.inputs.archives import UNREADABLE, list_archive, take_out
from submission.runtime.inputs.mounts import File, plain_name
from submission.runtime.inputs.restore import Restorer

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
    assert "attach the dataset that this script names in its header" in text


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


WHEELS = {
    f"tool{number}-1.0+cu1-py3-none-any.whl": random.Random(number).randbytes(5000) for number in range(4)
}


@pytest.fixture
def wheels(bundled):
    """Entries of wheels that were uploaded in an archive; two of them have the same size."""
    return [
        Entry(file=f"wheels-common.zip/{name}", size=len(data), sha256=sha256_bytes(data), role="wheel")
        for name, data in WHEELS.items()
    ]


def write_zip(path: Path, compression=zipfile.ZIP_STORED, top: str = "") -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in WHEELS.items():
            archive.writestr(top + name, data)


def write_tar(path: Path, mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:
        for name, data in WHEELS.items():
            item = tarfile.TarInfo(f"./{name}")
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))


@pytest.mark.parametrize(
    "inner",
    [
        "wheels-common",
        "wheels-common.zip",
        "wheels-common/wheels-common",
        "versions/3/a/b/wheels-common",
        ".",
    ],
)
def test_wheels_of_an_unpacked_archive_are_found_at_any_depth(bundled, wheels, inner):
    _, mount, restorer = bundled
    (mount / inner).mkdir(parents=True, exist_ok=True)
    for name, data in WHEELS.items():
        (mount / inner / mangle(name)).write_bytes(data)
    found, errors = restorer().restore(wheels)
    assert not errors
    assert [item.path.read_bytes() for item in found] == list(WHEELS.values())
    assert {item.how for item in found} == {"renamed"}


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("wheels-common.zip", write_zip),
        ("wheels-common.zip", partial(write_zip, compression=zipfile.ZIP_DEFLATED)),
        ("wheels-common.zip", partial(write_zip, top="wheels-common/")),
        ("wheels-common.tar", write_tar),
        ("wheels-common.tar.gz", partial(write_tar, mode="w:gz")),
        ("renamed-by-somebody", write_zip),
        ("wheels-common.bin", write_tar),
    ],
)
def test_wheels_of_an_archive_that_stayed_packed_are_taken_out(bundled, wheels, tmp_path, name, write):
    _, mount, restorer = bundled
    write(mount / name)
    found, errors = restorer().restore(wheels)
    assert not errors
    assert [item.path.read_bytes() for item in found] == list(WHEELS.values())
    assert {item.how for item in found} == {"from an archive"}
    assert all(item.path.is_relative_to(tmp_path / "scratch") for item in found)
    (name_of_first, *_) = WHEELS
    assert found[0].path.name.endswith(name_of_first)


def test_only_what_is_needed_is_taken_out_of_an_archive(bundled, wheels, tmp_path):
    _, mount, restorer = bundled
    write_zip(mount / "wheels-common.zip")
    assert restorer().find(wheels[2]).how == "from an archive"
    assert len([path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("how", ["truncated", "damaged"])
def test_a_broken_archive_costs_the_files_it_carried(bundled, wheels, how):
    entry, mount, restorer = bundled
    (mount / entry.file).write_bytes(CONTENT)
    write_zip(mount / "wheels-common.zip")
    data = bytearray((mount / "wheels-common.zip").read_bytes())
    data[100] ^= 1  # in the first wheel
    (mount / "wheels-common.zip").write_bytes(data if how == "damaged" else data[:-30])
    found, errors = restorer().restore([*wheels, entry])
    if how == "truncated":
        assert [item.entry for item in found] == [entry]
        text = str(errors[wheels[0].file])
        assert f"is missing: expected 5000 bytes, sha256 {wheels[0].sha256}; wheels-common.zip, which" in text
        assert "which carried it, is damaged or another one" in text
    else:
        assert [item.entry for item in found] == [*wheels[1:], entry]
        text = str(errors[wheels[0].file])
        assert "tool0-1.0+cu1-py3-none-any.whl is damaged: expected 5000 bytes" in text
        assert "found the same size, unreadable (Bad CRC-32" in text


def test_scratch_that_cannot_be_written_is_not_taken_for_a_damaged_archive(bundled, wheels, tmp_path):
    entry, mount, restorer = bundled
    write_zip(mount / "wheels-common.zip")
    (mount / entry.file).write_bytes(CONTENT)
    (tmp_path / "scratch" / "from-archives").write_text("in the way")
    found, errors = restorer().restore([*wheels, entry])
    assert [item.entry for item in found] == [entry]
    text = str(errors[wheels[0].file])
    assert "cannot write" in text
    assert "tool0-1.0+cu1-py3-none-any.whl: File exists" in text
    assert "point TMPDIR to another disk" in text


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


def test_an_archive_in_an_archive_is_opened(bundled, wheels):
    _, mount, restorer = bundled
    write_zip(mount / "wheels-common.zip")
    with zipfile.ZipFile(mount / "my upload.zip", "w") as outer:
        outer.write(mount / "wheels-common.zip", "kit/wheels-common.zip")
    (mount / "wheels-common.zip").unlink()
    found, errors = restorer().restore(wheels)
    assert not errors
    assert [item.path.read_bytes() for item in found] == list(WHEELS.values())


@pytest.mark.parametrize("name", ["wheels-common.zip", "everything.zip"])
def test_a_cut_archive_is_told_as_cut(bundled, wheels, name):
    _, mount, restorer = bundled
    write_zip(mount / name)
    (mount / name).write_bytes((mount / name).read_bytes()[:9000])
    _, errors = restorer().restore(wheels)
    text = str(errors[wheels[0].file])
    assert "its end, where a zip has its table of contents, is missing" in text
    assert str(mount / name) in text
    assert "attach the dataset" not in text


def test_what_lies_before_the_cut_of_a_tar_is_saved(bundled, wheels):
    _, mount, restorer = bundled
    write_tar(mount / "wheels-common.tar")
    (mount / "wheels-common.tar").write_bytes((mount / "wheels-common.tar").read_bytes()[:14_000])
    found, errors = restorer().restore(wheels)
    assert [item.entry for item in found] == wheels[:2]
    assert "tool2-1.0+cu1-py3-none-any.whl is damaged" in str(errors[wheels[2].file])
    assert "unreadable (" in str(errors[wheels[2].file])


def bomb(path: Path, kind: str) -> None:
    """A few hundred KB that unpack to 300 MB, in a file named like a wheel or in an archive in an archive."""
    zeros = bytes(300 << 20)
    if kind == "tar":
        with tarfile.open(path / "all.tar.gz", "w:gz") as archive:
            item = tarfile.TarInfo("zeros")
            item.size = len(zeros)
            archive.addfile(item, io.BytesIO(zeros))
            write = tarfile.TarInfo("behind")
            archive.addfile(write, io.BytesIO())
    else:
        with zipfile.ZipFile(path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("wheels-common.zip", zeros)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_bomb_is_not_unpacked(bundled, tmp_path, kind):
    entry, mount, restorer = bundled
    bomb(mount, kind)
    text = message(restorer, entry)
    assert "is missing" in text
    assert ("unpacks to more than" in text) == (kind == "tar")
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_a_file_that_is_larger_than_its_archive_says_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1_000_000))
    (item,) = list_archive(tmp_path / "a.zip").files
    with pytest.raises(UNREADABLE):
        take_out(replace(item, size=1000), tmp_path / "copy")
    with pytest.raises(EOFError, match="1000 bytes too early"):
        take_out(replace(item, size=1_001_000), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_files_with_other_names_are_looked_at_last(bundled):
    entry, mount, _ = bundled
    (mount / "odd-name").write_bytes(CONTENT)
    (mount / entry.file).write_bytes(CONTENT)
    asked = []

    def rest() -> list[File]:
        asked.append(1)
        return [File(mount / "odd-name", entry.size)]

    assert Restorer([File(mount / entry.file, entry.size)], mount, rest=rest).find(entry).how == "as is"
    assert not asked
    restorer = Restorer([], mount, rest=rest)
    assert restorer.find(entry).path == restorer.find(entry).path == mount / "odd-name"
    assert len(asked) == 1


def test_a_dataset_that_is_attached_is_not_called_absent(bundled):
    entry, mount, _ = bundled
    (mount / "other.bin").write_bytes(b"1")
    other = entry_of(mount / "other.bin")
    manifest = Manifest(dataset="kit", files=[entry, other])
    with pytest.raises(KitError, match="its dataset is attached, but holds it no more") as caught:
        Restorer(index(mount), mount, [manifest]).find(entry)
    assert str(mount) in str(caught.value)
    assert "attach the dataset" not in str(caught.value)
