import resource
from contextlib import contextmanager

import numpy as np
import pytest

from kit.ensemble import Member
from kit.errors import KitError
from kit.inference.store import (
    CodedDetections,
    MapWriter,
    load_detections,
    open_map,
    pass_file,
    save_detections,
)
from kit.inference.tiles import plan

MEMBER = Member(
    name="unet.fold0",
    weights="w.safetensors",
    sha256="ab",
    size=1,
    network={"network": "unet-regnety16"},
    inference={"core": 8},
    requires=[],
)


@contextmanager
def disk_of(bytes_left):
    """Every file may grow to this size only: what a full disk does to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(path, levels_HW, core):
    height, width = levels_HW.shape
    with MapWriter(path, height, width) as writer:
        for tile in plan(height, width, core):
            square = np.zeros((core, core), np.uint16)
            part = levels_HW[tile.y0 : tile.y0 + core, tile.x0 : tile.x0 + core]
            square[: part.shape[0], : part.shape[1]] = part
            writer.put(tile, square)
        writer.finish()


def test_a_map_written_by_cores_is_read_back_whole(tmp_path):
    levels_HW = np.random.default_rng(0).integers(0, 65536, (37, 50), np.uint16)
    write(tmp_path / "deep" / "map.npy", levels_HW, 16)
    assert np.array_equal(open_map(tmp_path / "deep" / "map.npy"), levels_HW)
    assert np.array_equal(np.load(tmp_path / "deep" / "map.npy"), levels_HW)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["map.npy"]


def test_a_map_that_was_interrupted_does_not_exist(tmp_path):
    with MapWriter(tmp_path / "map.npy", 16, 8) as writer:
        writer.put(next(plan(16, 8, 8)), np.zeros((8, 8), np.uint16))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    with disk_of(4096), pytest.raises(KitError, match=r"cannot write map\.npy: File too large") as caught:
        write(tmp_path / "map.npy", np.zeros((512, 512), np.uint16), 64)
    assert "free space" in str(caught.value)
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


def test_other_weights_or_settings_have_another_file(tmp_path):
    def where(**changes):
        return pass_file(tmp_path, Member(**{**vars(MEMBER), **changes}), "hflip", "slide", kind="semantic")

    files = [where(), where(sha256="cd"), where(inference={"core": 9}), where(network={"network": "other"})]
    assert len(set(files)) == 4
    assert where() == files[0]
    assert files[0].name == "slide.npy"
    assert files[0].parent.name == "hflip"
