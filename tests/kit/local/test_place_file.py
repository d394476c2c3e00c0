import resource
import tempfile
from pathlib import Path

import pytest

from kit.artefacts import write_bytes
from kit.errors import KitError
from kit.local.place_file import place_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_second_place_shares_the_bytes_and_a_rewrite_parts_them(tmp_path):
    source, target = tmp_path / "weights", tmp_path / "new" / "copy"
    write_bytes(source, b"first")
    for _ in range(2):  # placed again over itself, too
        place_file(source, target)
        assert target.samefile(source)
        assert names(target.parent) == ["copy"]
    write_bytes(source, b"second")
    assert target.read_bytes() == b"first"
    place_file(source, target)
    assert target.read_bytes() == b"second"


def test_a_link_is_followed_to_the_file(tmp_path):
    write_bytes(tmp_path / "weights", b"bytes")
    (tmp_path / "link").symlink_to("weights")
    place_file(tmp_path / "link", tmp_path / "copy")
    assert not (tmp_path / "copy").is_symlink()
    assert (tmp_path / "copy").read_bytes() == b"bytes"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_on_another_disk_it_is_a_copy(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        source = Path(folder) / "weights"
        if source.parent.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("both folders are on one file system")
        write_bytes(source, b"bytes")
        place_file(source, tmp_path / "copy")
        assert not (tmp_path / "copy").samefile(source)
        assert (tmp_path / "copy").read_bytes() == b"bytes"
        assert names(tmp_path) == ["copy"]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")
def test_a_copy_that_does_not_fit_names_the_place_that_is_full(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        source = Path(folder) / "weights"
        if source.parent.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("both folders are on one file system")
        write_bytes(source, bytes(5000))
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        try:
            with pytest.raises(KitError, match="cannot write copy: File too large") as caught:
                place_file(source, tmp_path / "copy")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (caught.value.where, names(tmp_path)) == (str(tmp_path), [])


def test_what_cannot_be_placed_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(KitError, match="the file to place is missing"):
        place_file(tmp_path / "none", tmp_path / "copy")
    write_bytes(tmp_path / "weights", b"bytes")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(KitError, match="cannot write folder"):
        place_file(tmp_path / "weights", tmp_path / "folder")
    assert names(tmp_path) == ["folder", "weights"]
