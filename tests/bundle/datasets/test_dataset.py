import errno
import json
import os

import pytest

from bundle import dataset
from bundle.dataset import Content, describe, entry_of, write
from kit import manifest
from kit.errors import KitError

GOOD = {
    "slug": "hubmap-kit-wheels",
    "owner": "some-body",
    "title": "hubmap kit wheels",
    "subtitle": "Offline wheels for predict.py",
    "licence": "other",
    "description": "Each wheel has its own licence.",
}


def content(name, data=b"data"):
    return Content(entry=entry_of(data, name, role="data"), source=data)


def test_metadata_has_what_the_client_asks_for():
    assert describe(**GOOD) == {
        "id": "some-body/hubmap-kit-wheels",
        "title": "hubmap kit wheels",
        "subtitle": "Offline wheels for predict.py",
        "description": "Each wheel has its own licence.",
        "licenses": [{"name": "other"}],
        "keywords": [],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slug": "short"}, "not a dataset name for Kaggle: 'short' (5 characters)"),
        ({"slug": "a" * 51}, "(51 characters)"),
        ({"slug": "under_score"}, "6 to 50 characters of a-z, 0-9 and single hyphens"),
        ({"slug": "Capital-letters"}, "not a dataset name"),
        ({"slug": "double--hyphen"}, "not a dataset name"),
        ({"title": "tiny"}, "title of 4 characters: 'tiny'"),
        ({"title": "t" * 51}, "title of 51 characters"),
        ({"subtitle": "too short"}, "subtitle of 9 characters"),
        ({"subtitle": "s" * 81}, "20 to 80 characters"),
        ({"licence": "MIT"}, "Kaggle knows no licence 'MIT'"),
        ({"owner": "me/you"}, "not a Kaggle user name: 'me/you'"),
        ({"owner": ""}, "the name in your profile's URL"),
    ],
)
def test_what_kaggle_would_refuse_is_refused_before_anything_is_written(change, message):
    with pytest.raises(KitError) as error:
        describe(**{**GOOD, **change})
    assert message in str(error.value)


def test_a_dataset_reads_back_as_it_was_written(tmp_path):
    folder = tmp_path / "kit-data"
    written = write(
        folder, [content("b.bin"), content("sub/a.bin", b"")], describe(**GOOD), targets=["cp313"]
    )
    assert manifest.load(folder / "manifest.json") == dataset.manifest.from_dict(written.manifest.as_dict())
    assert written.manifest.targets == ["cp313"]
    assert (folder / "sub" / "a.bin").read_bytes() == b""
    assert json.loads((folder / "dataset-metadata.json").read_text()) == describe(**GOOD)


def test_what_a_former_manifest_lists_is_removed_and_nothing_else(tmp_path):
    folder = tmp_path / "kit-data"
    write(folder, [content("keep.bin"), content("drop.bin")], {})
    (folder / "mine.txt").write_text("not from here")
    (folder / ".keep.bin.abc.tmp").write_text("left by a kill")
    written = write(folder, [content("keep.bin"), content("new.bin")], {})
    assert written.removed == ["drop.bin"]
    assert written.foreign == ["mine.txt"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset-metadata.json",
        "keep.bin",
        "manifest.json",
        "mine.txt",
        "new.bin",
    ]


def test_a_manifest_cannot_make_us_delete_outside_its_folder(tmp_path, change_json):
    folder = tmp_path / "kit-data"
    write(folder, [content("a.bin")], {})
    outside = tmp_path / "precious.bin"
    outside.write_bytes(b"data")
    entry = json.loads((folder / "manifest.json").read_text())["files"][0]
    change_json(
        folder / "manifest.json",
        files=[{**entry, "file": "../precious.bin"}, {**entry, "file": str(outside)}],
    )
    assert write(folder, [content("a.bin")], {}).removed == []
    assert outside.exists()


def test_an_unchanged_dataset_is_left_as_it_is(tmp_path):
    folder = tmp_path / "kit-data"
    write(folder, [content("a.bin")], {})
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write(folder, [content("a.bin")], {})
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_damaged_file_is_put_right(tmp_path):
    folder = tmp_path / "kit-data"
    write(folder, [content("a.bin")], {})
    (folder / "a.bin").write_bytes(b"dota")
    write(folder, [content("a.bin")], {})
    assert (folder / "a.bin").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a@b.bin"], "Kaggle refuses datasets with @ in a file name: a@b.bin"),
        (["a.bin", "a.bin"], "two files named a.bin"),
        (["ab.bin", "a+b.bin"], "two files get the same name once Kaggle has stripped theirs"),
    ],
)
def test_names_that_would_not_survive_are_refused_before_anything_is_written(tmp_path, names, message):
    with pytest.raises(KitError) as error:
        write(tmp_path / "kit-data", [content(name) for name in names], {})
    assert message in str(error.value)
    assert not (tmp_path / "kit-data").exists()


@pytest.mark.parametrize("link", [True, False])
def test_linked_files_share_space_and_copied_ones_do_not(tmp_path, link):
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    item = Content(entry=entry_of(source, "a.bin", role="data"), source=source, link=link)
    write(tmp_path / "kit-data", [item], {})
    assert (tmp_path / "kit-data" / "a.bin").samefile(source) == link


def test_files_are_copied_where_links_are_not_possible(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    item = Content(entry=entry_of(source, "a.bin", role="data"), source=source, link=True)
    write(tmp_path / "kit-data", [item], {})
    assert (tmp_path / "kit-data" / "a.bin").read_bytes() == b"data"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "kit-data").write_text("a file where the folder should be")
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    item = Content(entry=entry_of(source, "a.bin", role="data"), source=source)
    with pytest.raises(KitError, match=r"cannot write a\.bin") as error:
        write(tmp_path / "kit-data", [item], {})
    assert "kit-data" in str(error.value)
