import gzip
import json
import zipfile

import pytest

from kit.competitions import get
from kit.errors import KitError
from kit.local.offline.kaggle_shape import mount, mount_competition, mount_dataset

KIDNEY = get("kidney")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "test").mkdir(parents=True)
    (folder / "test" / "a.tiff").write_bytes(b"image")
    (folder / "sample_submission.csv").write_text("id,predicted\na,\n")
    (folder / "solution.csv").write_text("id,encoding\na,1 1\n")
    return folder


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "bundle" / "kit-wheels"
    folder.mkdir(parents=True)
    (folder / "tool-1.0+cu128-py3-none-any.whl").write_bytes(b"wheel")
    (folder / "plain.safetensors").write_bytes(b"weights")
    (folder / "table.csv.gz").write_bytes(gzip.compress(b"x,y\n"))
    for name in ("epoch.pth", "extra.zip"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("archive/data.pkl", "pickle")
            archive.writestr("a+b/tool-1.0+cu128-py3-none-any.whl", "wheel")
    (folder / "legacy.pth").write_bytes(b"no zip inside")
    (folder / "link").symlink_to("plain.safetensors")
    (folder / "manifest.json").write_text("{}")
    (folder / "dataset-metadata.json").write_text(json.dumps({"id": "somebody/kit-wheels"}))
    return folder


def test_a_competition_is_mounted_without_the_truth_of_its_test_images(tmp_path, data):
    target = mount_competition(tmp_path / "input", data, KIDNEY)
    assert target == tmp_path / "input" / "competitions" / KIDNEY.slug
    assert sorted(path.name for path in target.rglob("*")) == ["a.tiff", "sample_submission.csv", "test"]
    assert mount_competition(tmp_path / "old", data, KIDNEY, layout="old") == tmp_path / "old" / KIDNEY.slug


def test_two_files_whose_names_become_one_stay_as_they_were_made(tmp_path, dataset):
    (dataset / "tool-1.0cu128-py3-none-any.whl").write_bytes(b"another")
    target, _ = mount_dataset(tmp_path / "input", dataset)
    assert (target / "tool-1.0cu128-py3-none-any.whl").read_bytes() == b"another"
    assert (dataset / "tool-1.0+cu128-py3-none-any.whl").read_bytes() == b"wheel"


def test_a_dataset_arrives_as_kaggle_would_mount_it(tmp_path, dataset):
    target, changes = mount_dataset(tmp_path / "input", dataset)
    assert target == tmp_path / "input" / "datasets" / "somebody" / "kit-wheels"
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert files == [
        "epoch.pth/ab/tool-1.0cu128-py3-none-any.whl",
        "epoch.pth/archive/data.pkl",
        "extra/ab/tool-1.0cu128-py3-none-any.whl",
        "extra/archive/data.pkl",
        "legacy.pth",
        "link",
        "manifest.json",
        "plain.safetensors",
        "table.csv",
        "tool-1.0cu128-py3-none-any.whl",
    ]
    assert (target / "table.csv").read_bytes() == b"x,y\n"
    assert (target / "link").read_bytes() == b""
    assert "tool-1.0+cu128-py3-none-any.whl: renamed to tool-1.0cu128-py3-none-any.whl" in changes
    assert len(changes) == 5


@pytest.mark.parametrize(
    ("archives", "expected"),
    [
        ("doubled", ["extra/extra/archive/data.pkl", "epoch.pth/epoch.pth/archive/data.pkl"]),
        ("packed", ["extra.zip", "epoch.pth"]),
    ],
)
def test_archives_arrive_in_each_way_that_was_seen(tmp_path, dataset, archives, expected):
    target, _ = mount_dataset(tmp_path / "input", dataset, archives=archives)
    assert all((target / name).is_file() for name in expected)


def test_the_old_layout_has_no_owner(tmp_path, dataset, data):
    changes = mount(tmp_path / "input", data, [dataset], KIDNEY, layout="old")
    assert (tmp_path / "input" / "kit-wheels" / "manifest.json").is_file()
    assert (tmp_path / "input" / KIDNEY.slug).is_dir()
    assert changes


def test_an_original_is_never_changed_by_what_happens_to_its_mount(tmp_path, dataset):
    before = {path: path.read_bytes() for path in dataset.iterdir() if not path.is_symlink()}
    mount_dataset(tmp_path / "input", dataset)
    assert {path: path.read_bytes() for path in before} == before


def test_a_name_kaggle_refuses_fails_here_already(tmp_path, dataset):
    (dataset / "a&b.bin").write_bytes(b"")
    with pytest.raises(KitError, match="Kaggle refuses datasets with & in a file name"):
        mount_dataset(tmp_path / "input", dataset)
