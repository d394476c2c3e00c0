import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kit import manifest as manifests
from kit.artefacts import sha256_file
from kit.competitions import get
from kit.errors import KitError
from kit.manifest import Entry, Manifest
from submission.runtime.inputs.competition_mount import find_competition
from submission.runtime.inputs.mounts import find_datasets

KIDNEY = get("kidney")


def write_kidney(folder: Path) -> Path:
    (folder / "test").mkdir(parents=True)
    tifffile.imwrite(folder / "test" / "aaa.tiff", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    (folder / "sample_submission.csv").write_text("id,predicted\naaa,\n")
    return folder


def write_dataset(folder: Path, name: str = "hubmap-kit-wheels") -> Manifest:
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(name.encode())
    entry = Entry(file="a.bin", size=len(name), sha256=sha256_file(folder / "a.bin"), role="data")
    manifest = Manifest(dataset=name, files=[entry])
    manifests.save(folder, manifest)
    return manifest


@pytest.mark.parametrize(
    "place",
    [
        f"competitions/{KIDNEY.slug}",
        KIDNEY.slug,
        "my-copy-of-the-data",
        "datasets/someone/kidney-copy/versions/2",
        ".",
    ],
)
def test_the_competition_is_found_in_every_layout(tmp_path, place):
    folder = write_kidney(tmp_path / "input" / place)
    assert find_competition(tmp_path / "input", KIDNEY).resolve() == folder.resolve()


def test_a_missing_input_folder_is_told(tmp_path):
    with pytest.raises(KitError, match="the input folder does not exist") as caught:
        find_competition(tmp_path / "nowhere", KIDNEY)
    assert "add the competition as an input" in str(caught.value)


def test_missing_competition_data_is_told_with_what_is_there(tmp_path):
    write_dataset(tmp_path / "input" / "hubmap-kit-wheels")
    with pytest.raises(KitError) as caught:
        find_competition(tmp_path / "input", KIDNEY)
    text = str(caught.value)
    assert "the data of hubmap-kidney-segmentation is not among the inputs; found: hubmap-kit-wheels" in text
    assert "Add Input > Competitions > hubmap-kidney-segmentation" in text


def test_data_of_another_competition_is_recognised(tmp_path):
    folder = tmp_path / "input" / "competitions" / "hubmap-hacking-the-human-vasculature"
    (folder / "test").mkdir(parents=True)
    (folder / "sample_submission.csv").write_text("id,height,width,prediction_string\n")
    with pytest.raises(KitError) as caught:
        find_competition(tmp_path / "input", KIDNEY)
    text = str(caught.value)
    assert "this folder is not the data of competition hubmap-kidney-segmentation" in text
    assert "this looks like the data of hubmap-hacking-the-human-vasculature" in text
    assert str(folder) in text


@pytest.mark.parametrize(
    "place",
    [
        "datasets/owner/hubmap-kit-wheels",
        "datasets/owner/hubmap-kit-wheels/versions/4",
        "hubmap-kit-wheels",
        "models/owner/kit/other/default/1",
        "notebooks/owner/made-the-wheels",
        "a-name-nobody-expects",
        "datasets/owner/hubmap-kit-wheels/hubmap-kit-wheels/hubmap-kit-wheels",
    ],
)
def test_a_dataset_is_found_by_its_manifest_under_any_name(tmp_path, place):
    manifest = write_dataset(tmp_path / "input" / place)
    data = write_kidney(tmp_path / "input" / "competitions" / KIDNEY.slug)
    found = find_datasets(tmp_path / "input", [manifest], data)
    assert found.roots == {manifest.dataset: tmp_path / "input" / place}
    assert sorted(file.path.name for file in found.files) == ["a.bin", "manifest.json"]


def test_without_its_manifest_a_dataset_is_still_indexed_but_the_competition_is_not(tmp_path):
    manifest = write_dataset(tmp_path / "input" / "datasets" / "owner" / "wheels")
    (tmp_path / "input" / "datasets" / "owner" / "wheels" / "manifest.json").rename(tmp_path / "gone")
    data = write_kidney(tmp_path / "input" / "competitions" / KIDNEY.slug)
    found = find_datasets(tmp_path / "input", [manifest], data)
    assert found.roots == {}
    assert [file.path.name for file in found.files] == ["a.bin"]


def test_one_lost_manifest_of_two_makes_all_folders_candidates(tmp_path):
    first = write_dataset(tmp_path / "input" / "one", "one")
    second = write_dataset(tmp_path / "input" / "two", "two")
    (tmp_path / "input" / "two" / "manifest.json").write_text("{}")
    found = find_datasets(tmp_path / "input", [first, second], None)
    assert found.roots == {"one": tmp_path / "input" / "one"}
    assert {file.path.parent.name for file in found.files} == {"one", "two"}


def test_two_mounts_of_the_same_dataset_are_one(tmp_path):
    manifest = write_dataset(tmp_path / "input" / "a")
    shutil.copytree(tmp_path / "input" / "a", tmp_path / "input" / "b")
    assert find_datasets(tmp_path / "input", [manifest], None).roots == {
        manifest.dataset: tmp_path / "input" / "a"
    }


def test_links_and_manifests_that_cannot_be_followed_or_read_are_passed_over(tmp_path):
    root = tmp_path / "input"
    odd = root / "a-dataset-of-somebody"
    odd.mkdir(parents=True)
    (odd / "loop").symlink_to("loop")
    (odd / "nowhere").symlink_to("nothing")
    (odd / "manifest.json").symlink_to("/proc/self/mem")  # can be opened, not read
    manifest = write_dataset(root / "wheels")
    folder = write_kidney(root / "my-copy")
    assert find_competition(root, KIDNEY) == folder
    assert find_datasets(root, [manifest], folder).roots == {manifest.dataset: root / "wheels"}
    (root / "wheels" / "manifest.json").unlink()
    names = {file.path.name for file in find_datasets(root, [manifest], folder).files}
    assert names == {"manifest.json", "a.bin"}


def test_nothing_is_listed_below_the_depth_any_mount_has(tmp_path):
    deep = tmp_path / "input" / "/".join("abcdefghij")
    manifest = write_dataset(deep)
    assert find_datasets(tmp_path / "input", [manifest], None).files == []


def test_thousands_of_other_files_do_not_hide_ours(tmp_path, monkeypatch):
    """Ours come first, by name; the others are not even looked at."""
    root = tmp_path / "input"
    manifest = write_dataset(root / "zz" / "wheels")
    (root / "zz" / "wheels" / "manifest.json").unlink()
    foreign = root / "a" / "frames"
    foreign.mkdir(parents=True)
    for number in range(6_000):
        (foreign / f"{number}.bin").touch()
    found = find_datasets(root, [manifest], None)
    assert [file.path.name for file in found.files] == ["a.bin"]
    assert len(found.others) == 6_000
    assert len(found.rest()) == 6_000


def test_a_folder_is_visited_once_however_many_links_lead_to_it(tmp_path):
    root = tmp_path / "input"
    manifest = write_dataset(root / "kit")
    (root / "kit" / "manifest.json").unlink()
    (root / "kit" / "itself").symlink_to(root / "kit")
    (root / "kit" / "above").symlink_to(tmp_path)
    (root / "kit" / "root").symlink_to("/")
    for number in range(4):
        folder = root / f"ring{number}"
        folder.mkdir()
        (folder / "next").symlink_to(root / f"ring{(number + 1) % 4}")
    found = find_datasets(root, [manifest], None)
    assert [file.path for file in found.files] == [root / "kit" / "a.bin"]
    assert found.others == []


def test_a_dataset_that_is_a_link_is_found(tmp_path):
    manifest = write_dataset(tmp_path / "elsewhere")
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "kit").symlink_to(tmp_path / "elsewhere")
    assert find_datasets(tmp_path / "input", [manifest], None).roots == {
        manifest.dataset: tmp_path / "input" / "kit"
    }
