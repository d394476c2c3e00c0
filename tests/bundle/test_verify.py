"""verify.py as a stranger runs it: a file of its own, on the oldest Python that this machine has."""

import json
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import dataset, verify
from bundle.dataset import Content, entry_of
from bundle.verify.verify import main
from kit.errors import KitError
from kit.local.interpreters import find_python
from kit.local.offline.kaggle_shape import mount_dataset

FILES = {
    "wheels-cp313.zip/x-1.0+cu1-cp313.whl": b"a wheel",
    "wheels-common.zip/y-1.0.whl": b"another wheel",
    "ensemble.json": b"{}",
    "empty.txt": b"",
}


@pytest.fixture
def folder(tmp_path):
    """A dataset with archives and files in the open."""
    contents = [
        Content(entry=entry_of(data, name, role="data"), source=data)
        for name, data in {**FILES, verify.NAME: verify.program()}.items()
    ]
    place = tmp_path / "kit-wheels"
    dataset.write(place, contents, {"id": "someone/kit-wheels"})
    return place


def oldest():
    """The oldest Python here that verify.py promises to run on."""
    for minor in range(8, 14):
        try:
            return find_python([f"3.{minor}"])[1]
        except KitError:
            continue
    raise AssertionError("no Python at all")


def run(place, *arguments):
    done = subprocess.run(
        [oldest(), "-I", place / verify.NAME, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("archives", ["unpacked", "doubled", "packed"])
def test_a_dataset_is_whole_however_kaggle_mounts_it_and_can_be_restored(folder, tmp_path, archives):
    mounted, _ = mount_dataset(tmp_path / "input", folder, archives=archives)
    code, said = run(mounted, "--restore", tmp_path / "restored")
    assert code == 0, said
    assert "5 of 5 files are as they were bundled" in said
    for name, data in FILES.items():
        assert (tmp_path / "restored" / name.replace(".zip/", "/")).read_bytes() == data
    code, said = run(mounted, "--json")
    assert (code, json.loads(said)["ok"]) == (0, True)


def test_a_damaged_a_short_and_a_missing_file_are_told_with_what_was_expected_and_found(folder, tmp_path):
    mounted, _ = mount_dataset(tmp_path / "input", folder)
    (mounted / "ensemble.json").unlink()
    (mounted / "ensemble.json").write_bytes(b"[]")
    code, said = run(mounted)
    assert code == 1
    assert "DAMAGED  ensemble.json\n  expected ensemble.json, 2 bytes, sha256 44136fa3" in said
    assert "ensemble.json has 2 bytes, sha256 4f53cda1" in said
    (mounted / "wheels-common" / "y-1.0.whl").unlink()
    code, said = run(mounted, "--json")
    wrong = {item["file"]: item["found"] for item in json.loads(said)["files"] if not item["ok"]}
    assert code == 1
    assert wrong["wheels-common.zip/y-1.0.whl"] == "no file of this content or name"


@pytest.mark.parametrize("archives", ["unpacked", "packed"])
def test_files_that_the_manifest_does_not_list_are_named_and_are_no_fault(folder, tmp_path, archives):
    mounted, _ = mount_dataset(tmp_path / "input", folder, archives=archives)
    assert "NOT LISTED" not in run(mounted)[1]
    (mounted / "z-1.0.whl").write_bytes(b"whose?")
    shutil.copyfile(mounted / "ensemble.json", mounted / "copy.json")
    code, said = run(mounted)
    assert code == 0
    assert said.count("NOT LISTED") == said.count(f"NOT LISTED  {mounted / 'z-1.0.whl'}\n") == 1
    (mounted / "ensemble.json").unlink()
    (mounted / "copy.json").unlink()
    (mounted / "ensemble.json").write_bytes(b"[]")
    code, said = run(mounted, "--json")
    assert code == 1
    assert json.loads(said)["not_listed"] == [str(mounted / "z-1.0.whl")], "a damaged file is told as such"


def test_a_cut_archive_counts_as_missing_files(folder, tmp_path):
    mounted, _ = mount_dataset(tmp_path / "input", folder, archives="packed")
    archive = mounted / "wheels-common.zip"
    data = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(data[: len(data) // 2])
    code, said = run(mounted)
    assert code == 1
    assert "wheels-common.zip/y-1.0.whl" in said


def test_files_in_a_tar_are_found_too(folder, tmp_path):
    other = tmp_path / "as-tar"
    other.mkdir()
    with tarfile.open(other / "all.tar.gz", "w:gz") as archive:
        for name, data in FILES.items():
            path = tmp_path / "member"
            path.write_bytes(data)
            archive.add(path, name.rpartition("/")[2])
    for name in ("manifest.json", verify.NAME):
        shutil.copyfile(folder / name, other / name)
    assert run(other)[0] == 0


def test_what_lies_in_an_archive_in_an_archive_is_refused_with_words(folder, tmp_path):
    """Kaggle's button "Download" makes one zip of all files, with our archives as they are."""
    other = tmp_path / "downloaded"
    other.mkdir()
    with zipfile.ZipFile(other / "archive.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    for name in ("manifest.json", verify.NAME):
        shutil.copyfile(folder / name, other / name)
    code, said = run(other)
    assert code == 1
    assert "DAMAGED  wheels-common.zip/y-1.0.whl" in said
    assert "ensemble.json" not in said
    assert f"perhaps in {other / 'archive.zip'}: wheels-c" in said
    assert f"unpack {other / 'archive.zip'} and run this again" in said
    with zipfile.ZipFile(other / "archive.zip") as archive:
        archive.extractall(other)
    assert run(other)[0] == 0


def test_parts_of_a_large_file_are_joined(folder, tmp_path):
    value = json.loads((folder / "manifest.json").read_text())
    pieces = {"big.bin.001": b"first ", "big.bin.002": b"second"}
    for name, data in pieces.items():
        (folder / name).write_bytes(data)
    parts = [plain_entry(name, data) for name, data in pieces.items()]
    value["files"].append({**plain_entry("big.bin", b"first second"), "role": "weights", "parts": parts})
    (folder / "manifest.json").write_text(json.dumps(value))
    code, said = run(folder, "--restore", tmp_path / "out")
    assert code == 0, said
    assert (tmp_path / "out" / "big.bin").read_bytes() == b"first second"
    (folder / "big.bin.002").write_bytes(b"other!")
    code, said = run(folder)
    assert code == 1
    assert "big.bin.002" in said


def plain_entry(name, data):
    entry = entry_of(data, name, role="data")
    return {"file": entry.file, "size": entry.size, "sha256": entry.sha256}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no manifest.json"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema": 9, "files": []}', "has another schema than 1"),
        ('{"schema": 1, "files": [{"file": "a"}]}', "has another schema than 1"),
    ],
)
def test_what_cannot_be_checked_ends_with_exit_code_2_and_a_sentence(folder, text, message):
    (folder / "manifest.json").unlink()
    if text is not None:
        (folder / "manifest.json").write_text(text)
    code, said = run(folder)
    assert code == 2
    assert said.startswith("error: ")
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "a.zip/../../outside.txt"])
def test_a_manifest_cannot_write_outside_the_folder(folder, tmp_path, name):
    (folder / "x").write_bytes(b"evil")
    value = {"schema": 1, "files": [plain_entry("x", b"evil") | {"file": name}]}
    (folder / "manifest.json").write_text(json.dumps(value))
    code, said = run(folder, "--restore", tmp_path / "out")
    assert code == 2
    assert "outside the dataset" in said
    assert not list(tmp_path.glob("outside*"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.data())
def test_any_single_changed_byte_of_the_contents_is_found(folder, tmp_path, data):
    mounted, _ = mount_dataset(tmp_path / "input", folder)
    try:
        files = [path for path in mounted.rglob("*") if path.is_file() and path.stat().st_size]
        files = [path for path in files if path.name != "manifest.json"]
        path = data.draw(st.sampled_from(sorted(files)))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.unlink()  # a hard link: the dataset itself stays as it is
        path.write_bytes(content)
        assert main([str(mounted)]) == 1
    finally:
        shutil.rmtree(mounted)


def test_the_copy_in_a_dataset_is_the_file_of_the_repository(folder):
    assert (folder / verify.NAME).read_bytes() == Path(verify.__file__).with_name(verify.NAME).read_bytes()
