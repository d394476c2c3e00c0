import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import dataset
from bundle.dataset import Content, entry_of, write
from bundle.dataset_metadata import describe
from kit import manifest
from kit.artefacts import sha256_file
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
        ({"slug": "short"}, "Kaggle does not take 'short' (5 characters) as the name of a dataset"),
        ({"slug": "a" * 51}, "(51 characters)"),
        ({"slug": "under_score"}, "6 to 50 characters of a-z, 0-9 and single hyphens"),
        ({"slug": "Capital-letters"}, "as the name of a dataset"),
        ({"slug": "double--hyphen"}, "as the name of a dataset"),
        ({"title": "tiny"}, "the title 'tiny' has 4 characters"),
        ({"title": "t" * 51}, "has 51 characters; Kaggle takes 6 to 50"),
        ({"subtitle": "too short"}, "the subtitle 'too short' has 9 characters"),
        ({"subtitle": "s" * 81}, "has 81 characters; Kaggle takes 20 to 80"),
        ({"licence": "MIT"}, "Kaggle knows no licence 'MIT'"),
        ({"owner": "me/you"}, "'me/you' is not a Kaggle user name"),
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
    assert written.others == ["mine.txt"]
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
        (["ab.bin", "a+b.bin"], "two files would have the same name after Kaggle has removed"),
        (["some.zip/a&b.bin"], "Kaggle refuses datasets with & in a file name"),
        (["old.pth", "x.csv.gz"], "Kaggle would unpack old.pth, x.csv.gz"),
    ],
)
def test_names_that_would_not_survive_are_refused_before_anything_is_written(tmp_path, names, message):
    with pytest.raises(KitError) as error:
        write(tmp_path / "kit-data", [content(name) for name in names], {})
    assert message in str(error.value)
    assert not (tmp_path / "kit-data").exists()


def test_a_file_of_its_own_is_a_hard_link_and_is_not_read_again(tmp_path, monkeypatch):
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    item = Content(entry=entry_of(source, "a.bin", role="data"), source=source)
    write(tmp_path / "kit-data", [item], {})
    assert (tmp_path / "kit-data" / "a.bin").samefile(source)
    read = []
    monkeypatch.setattr(dataset, "sha256_file", lambda path: read.append(path.name) or sha256_file(path))
    write(tmp_path / "kit-data", [item], {})
    assert "a.bin" not in read


def archive_of(tmp_path, *names):
    """Contents of an archive, half of them from files."""
    items = [content(f"some.zip/{name}", name.encode()) for name in names]
    source = tmp_path / "source.bin"
    source.write_bytes(names[0].encode())
    return [Content(entry=items[0].entry, source=source), *items[1:]]


def test_an_archive_holds_its_files_as_they_are_and_lasts(tmp_path):
    folder = tmp_path / "kit-data"
    contents = archive_of(tmp_path, "a+b.bin", "c.bin")
    write(folder, contents, {})
    archive = folder / "some.zip"
    with zipfile.ZipFile(archive) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {
            "a+b.bin": b"a+b.bin",
            "c.bin": b"c.bin",
        }
        assert {item.compress_type for item in packed.infolist()} == {zipfile.ZIP_STORED}
    before = (archive.stat().st_ino, archive.read_bytes())
    write(folder, list(reversed(contents)), {})
    assert (archive.stat().st_ino, archive.read_bytes()) == before
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "kit-data", archive_of(tmp_path / "other", "a+b.bin", "c.bin"), {})
    assert (tmp_path / "other" / "kit-data" / "some.zip").read_bytes() == before[1]


@given(position=st.integers(0), byte=st.integers(0, 255), cut=st.integers(0, 200))
def test_an_archive_that_was_damaged_is_put_right(tmp_path_factory, position, byte, cut):
    folder = tmp_path_factory.mktemp("damaged")
    contents = [content("some.zip/a.bin"), content("some.zip/b.bin", b"more")]
    write(folder, contents, {})
    intact = (folder / "some.zip").read_bytes()
    damaged = bytearray(intact)
    damaged[position % len(intact)] = byte
    (folder / "some.zip").write_bytes(damaged[: len(intact) - cut])
    write(folder, contents, {})
    with zipfile.ZipFile(folder / "some.zip") as packed:
        assert [packed.read(name) for name in ("a.bin", "b.bin")] == [b"data", b"more"]


def test_an_archive_goes_with_its_last_file(tmp_path):
    folder = tmp_path / "kit-data"
    write(folder, [content("keep.bin"), content("some.zip/a.bin")], {})
    assert write(folder, [content("keep.bin")], {}).removed == ["some.zip"]
    assert not (folder / "some.zip").exists()


def test_as_many_entries_as_kaggle_takes_and_no_more(tmp_path):
    folder = tmp_path / "kit-data"
    files = [content(f"{number}.bin") for number in range(47)]
    several = [content("some.zip/a"), content("some.zip/b"), content("folder/a"), content("folder/b")]
    write(folder, [*files, *several], {})
    (folder / "notes.txt").write_text("uploaded too")
    with pytest.raises(KitError, match=r"51 files and folders at the top, Kaggle asks for at most 50"):
        write(folder, [*files, *several], {})
    (folder / "notes.txt").unlink()
    with pytest.raises(KitError, match="51 files and folders"):
        write(folder, [*files, *several, content("one-more.bin")], {})
    assert not (folder / "one-more.bin").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "kit-data").write_text("a file where the folder should be")
    source = tmp_path / "source.bin"
    source.write_bytes(b"data")
    item = Content(entry=entry_of(source, "a.bin", role="data"), source=source)
    with pytest.raises(KitError, match=r"cannot write a\.bin") as error:
        write(tmp_path / "kit-data", [item], {})
    assert "kit-data" in str(error.value)
