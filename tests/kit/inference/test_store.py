import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kit.artefacts import remove_leftovers
from kit.ensemble import Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.inference import views
from kit.inference.store import (
    CodedDetections,
    levels_of,
    load_detections,
    open_map,
    pass_file,
    save_detections,
    write_map,
)

MEMBER = Member(
    name="unet.fold0",
    weights="w.safetensors",
    sha256="ab",
    size=1,
    network={"network": "unet-regnety16"},
    inference={"core": 8},
    requires=[],
)


BEGIN_AND_DIE = """
import os, sys
from pathlib import Path
from kit.inference.store import write_map
writer = write_map(Path(sys.argv[1]), 4, 4, "uint8")
writer.__enter__()
os._exit(0)
"""


def write(path, levels_HW, rows):
    with write_map(path, *levels_HW.shape, levels_HW.dtype.name) as writer:
        for y0 in range(0, len(levels_HW), rows):
            writer.append(levels_HW[y0 : y0 + rows])


def test_what_a_dead_writer_of_one_map_left_can_be_dropped(tmp_path):
    whole_HW = np.zeros((4, 4), np.uint8)
    write(tmp_path / "a[b].npy", whole_HW, 2)
    with write_map(tmp_path / "other.npy", 4, 4, "uint8") as still_writing:
        subprocess.run([sys.executable, "-c", BEGIN_AND_DIE, str(tmp_path / "a[b].npy")], check=True)
        assert len(list(tmp_path.iterdir())) == 3
        remove_leftovers(tmp_path / "a[b].npy")
        assert (tmp_path / "a[b].npy").is_file()
        (other,) = set(tmp_path.iterdir()) - {tmp_path / "a[b].npy"}
        assert other.name.startswith(".other.npy.")
        still_writing.append(whole_HW)


@pytest.mark.parametrize("stored", ["uint8", "uint16"])
def test_a_map_written_by_bands_is_read_back_whole_and_by_rows(tmp_path, stored):
    levels_HW = np.random.default_rng(0).integers(0, np.iinfo(stored).max + 1, (37, 50), stored)
    write(tmp_path / "deep" / "map.npy", levels_HW, 16)
    found = open_map(tmp_path / "deep" / "map.npy")
    assert (found.shape, found.dtype, levels_of(found.dtype)) == ((37, 50), stored, np.iinfo(stored).max)
    assert np.array_equal(np.array(found), levels_HW)
    assert np.array_equal(np.load(tmp_path / "deep" / "map.npy"), levels_HW)
    for rows in (slice(0, 5), slice(30, 99), slice(36, None), slice(5, 5), slice(9, 3)):
        assert np.array_equal(found[rows], levels_HW[rows])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["map.npy"]
    assert (tmp_path / "deep" / "map.npy").stat().st_mode & 0o777 == 0o644, "other users may read it"


def test_a_map_that_was_interrupted_does_not_exist(tmp_path):
    with (
        pytest.raises(AssertionError, match="8 rows of 16 were written"),
        write_map(tmp_path / "map.npy", 16, 8, "uint16") as writer,
    ):
        writer.append(np.zeros((8, 8), np.uint16))
    assert not list(tmp_path.iterdir())


def test_a_map_is_not_mapped_into_memory(tmp_path):
    """Pages of a mapped file would count as this process's memory for as long as the map is open."""
    write(tmp_path / "map.npy", np.zeros((64, 64), np.uint16), 64)
    found = open_map(tmp_path / "map.npy")
    assert found[0:8].shape == (8, 64)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, np.uint16),
        np.zeros((2, 3), np.float32),
        np.zeros((2, 3), ">u2"),
        np.asfortranarray(np.zeros((2, 3), np.uint8)),
    ],
)
def test_an_array_that_is_no_map_is_told(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(KitError, match=r"is damaged: .* numbers of type"):
        open_map(tmp_path / "a.npy")


def test_a_map_cut_short_is_told_when_it_is_opened_and_when_it_is_read(tmp_path):
    path = tmp_path / "map.npy"
    write(path, np.zeros((64, 64), np.uint16), 64)
    found = open_map(path)
    os.truncate(path, 4096)
    with pytest.raises(KitError, match="is damaged"):
        found[32:64]
    with pytest.raises(KitError, match="is damaged: 3968 bytes for 64 x 64 pixels"):
        open_map(path)
    path.unlink()
    with pytest.raises(KitError, match="this pass has no result"):
        found[0:1]


@pytest.mark.parametrize("rows", [1, 64])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, disk_of, rows):
    with disk_of(4096), pytest.raises(KitError, match=r"cannot write map\.npy: File too large") as caught:
        write(tmp_path / "map.npy", np.zeros((512, 50), np.uint16), rows)
    assert "free space" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_does_not_hide_why_a_pass_failed(tmp_path, disk_of):
    """The header waits in a buffer, and cannot be written any more when the file is closed."""
    lost = RuntimeError("CUDA error: unspecified launch failure")
    with disk_of(0), pytest.raises(RuntimeError) as caught, write_map(tmp_path / "map.npy", 4, 4, "uint8"):
        raise lost
    assert caught.value is lost
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KitError, match=r"cannot write map\.npy"):
        write(tmp_path / "file" / "map.npy", np.zeros((4, 4), np.uint16), 4)


@pytest.mark.parametrize("masks", [[], [b"05"], [b"12", b"", b"0454"]])
def test_detections_are_read_back_as_they_were(tmp_path, masks):
    count = len(masks)
    boxes = np.arange(4 * count, dtype=np.float64).reshape(-1, 4)
    stored = CodedDetections(7, 9, boxes, np.linspace(0, 1, count), masks)
    save_detections(tmp_path / "a.npz", stored)
    found = load_detections(tmp_path / "a.npz")
    assert (found.height, found.width, found.masks) == (7, 9, masks)
    assert np.array_equal(found.boxes, boxes)
    assert np.array_equal(found.scores, stored.scores)


@pytest.mark.parametrize(("read", "name"), [(open_map, "a.npy"), (load_detections, "a.npz")])
def test_missing_and_damaged_results_name_the_file_and_the_way_out(tmp_path, read, name):
    with pytest.raises(KitError, match="this pass has no result"):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(KitError, match="is damaged") as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    assert "delete it and run again" in str(caught.value)


@pytest.mark.parametrize(("read", "name"), [(open_map, "a.npy"), (load_detections, "a.npz")])
def test_a_result_damaged_anywhere_is_read_or_told(tmp_path, read, name):
    path = tmp_path / name
    if name == "a.npy":
        write(path, np.zeros((5, 6), np.uint16), 5)
    else:
        save_detections(path, CodedDetections(7, 9, np.ones((2, 4)), np.array([0.5, 0.4]), [b"05", b"12"]))
    whole, told, places = path.read_bytes(), [], range(0, path.stat().st_size, 7)
    cut = [whole[:length] for length in places]
    flipped = [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in places]
    for damaged in cut + flipped:
        path.write_bytes(damaged)
        try:
            read(path)
        except KitError as error:
            told.append(error.problem.removeprefix("the result of a pass is damaged: "))
    assert len(told) > len(cut), "all that are cut short, and some of what is flipped"
    assert all(told), "each with a reason"


def test_other_weights_or_settings_have_another_file(tmp_path):
    def where(**changes):
        return pass_file(tmp_path, Member(**{**vars(MEMBER), **changes}), "hflip", "slide", kind="semantic")

    files = [where(), where(sha256="cd"), where(inference={"core": 9}), where(network={"network": "other"})]
    assert len(set(files)) == 4
    assert where() == files[0]
    assert files[0].name == "slide.npy"
    assert files[0].parent.name == "hflip"


def test_any_set_of_views_has_a_folder_of_its_own(tmp_path):
    every = [f"{name}{scale}" for scale in ("@0.75", "", "@1.25") for name in views.names()]
    paths = [
        pass_file(tmp_path, MEMBER, "+".join(every[:count]), "slide", kind="semantic")
        for count in range(1, len(every) + 1)
    ]
    assert len(set(paths)) == len(every)
    for path in paths:
        write(path, np.zeros((2, 2), np.uint8), 2)
        assert path.is_file()
        assert len(path.parent.name) <= 100


def test_the_pixel_size_names_the_file_only_where_it_decides_the_result(tmp_path):
    def where(inference, info):
        member = Member(**{**vars(MEMBER), "inference": inference})
        return pass_file(tmp_path, member, "hflip", "slide", kind="semantic", info=info)

    plain, adapted = {"core": 8}, {"core": 8, "pixel_size": 0.4}
    assert where(plain, ImageInfo(pixel_size=0.5)) == where(plain, None)
    assert len({where(adapted, info) for info in (None, ImageInfo(0.5), ImageInfo(0.4))}) == 3
    assert where(adapted, ImageInfo(0.5, "lung")) == where(adapted, ImageInfo(0.5, "kidney"))
