from types import SimpleNamespace

import pytest

from kit import competitions
from kit.competitions import get
from kit.local.offline.faults.hidden_set import change_hidden_set

KIDNEY = get("kidney")
SAMPLE, TABLE = "sample_submission.csv", "HuBMAP-20-dataset_information.csv"


@pytest.fixture
def folder(tmp_path):
    """Three images; their files are hard links, as in a mounted folder."""
    (tmp_path / "data" / "test").mkdir(parents=True)
    (tmp_path / "data" / SAMPLE).write_text("id,predicted\na,\nb,\nc,\n")
    (tmp_path / "data" / TABLE).write_text("image_file,width_pixels,height_pixels\na.tiff,5,6\nx.tiff,1,2\n")
    for name in ("a", "b", "c"):
        (tmp_path / "data" / "test" / f"{name}.tiff").write_text(name)
    mounted = tmp_path / "mounted"
    (mounted / "test").mkdir(parents=True)
    for path in (tmp_path / "data").rglob("*.*"):
        (mounted / path.relative_to(tmp_path / "data")).hardlink_to(path)
    return mounted


def images(folder):
    return {path.stem: path.read_text() for path in (folder / "test").iterdir()}


def test_three_times_as_many_images_with_rows_in_all_tables(folder):
    change_hidden_set(folder, KIDNEY, "three times")
    assert images(folder) == {f"{name}{copy}": name for name in "abc" for copy in ("", "1", "2")}
    assert KIDNEY.test_ids(folder) == ["a", "b", "c", "a1", "b1", "c1", "a2", "b2", "c2"]
    assert (folder / TABLE).read_text().splitlines()[1:] == [
        "a.tiff,5,6", "x.tiff,1,2", "a1.tiff,5,6", "a2.tiff,5,6",
    ]  # fmt: skip


def test_an_empty_set_has_neither_images_nor_rows(folder):
    change_hidden_set(folder, KIDNEY, "empty")
    assert images(folder) == {}
    assert KIDNEY.listing(folder).ids == []


def test_an_unlisted_image_and_one_that_is_missing(folder):
    change_hidden_set(folder, KIDNEY, "unlisted")
    assert images(folder) == {"a": "a", "a9": "a", "b": "b"}
    assert KIDNEY.test_ids(folder) == ["a", "b", "c"]


@pytest.mark.parametrize("change", ["three times", "empty", "unlisted"])
def test_the_files_of_the_competition_itself_stay_as_they_are(folder, change):
    data = folder.parent / "data"
    before = {path: path.read_bytes() for path in data.rglob("*.*")}
    change_hidden_set(folder, KIDNEY, change)
    assert {path: path.read_bytes() for path in data.rglob("*.*")} == before


SPECIAL = {
    "name": "a",
    "slug": "a",
    "kind": "values",
    "targets": ["x"],
    "truth": {"form": "table", "file": "train.csv"},
    "submission": {},
    "metric": {"name": "RMSE"},
}


@pytest.mark.parametrize(
    ("images", "files", "ids", "copied"),
    [
        (
            {"test": "test/{v}/{n}.png", "id": "{v}_{n}"},
            ["test/a_b/1.png", "test/a_b/2.png"],
            ["a_b_1", "a_b_2"],
            "test/a_b/12.png",
        ),
        (
            {"test": "test/{kind}/{id}.jpg"},
            ["test/cat/1.jpg", "test/dog/2.jpg"],
            ["1", "2"],
            "test/dog/21.jpg",
        ),
        ({"test": "test/{id}/*.png"}, ["test/a/1.png", "test/b/1.png"], ["a", "b"], "test/b2/1.png"),
    ],
)
def test_images_whose_ids_are_made_of_parts_and_folders_of_slices(tmp_path, images, files, ids, copied):
    train = images["test"].replace("test", "train")
    definition = {**SPECIAL, "images": {"train": train, **images}}
    competition = competitions.of(SimpleNamespace(competition="a", definition=definition))
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"image")
    table = "id,x\n" + "".join(f"{image},0\n" for image in ids)
    (tmp_path / "sample_submission.csv").write_text(table)
    change_hidden_set(tmp_path, competition, "three times")
    assert (tmp_path / copied).read_bytes() == b"image"
    listed = competition.test_ids(tmp_path)
    assert sorted(listed) == sorted([*ids, *(f"{image}{n}" for image in ids for n in (1, 2))])
    assert all(competition.image_path(tmp_path, image, "test").exists() for image in listed)
    change_hidden_set(tmp_path, competition, "empty")
    assert competition.image_pattern("test").ids(tmp_path) == []
