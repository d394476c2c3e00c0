import pytest

from kit.errors import KitError
from train_local.places import require_data, require_file, require_folder, require_outside


def test_results_go_into_a_new_or_an_old_folder_but_not_into_the_data(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").touch()
    (tmp_path / "link").symlink_to(data)
    for place in (tmp_path / "new" / "folder", tmp_path, tmp_path / "data2"):
        require_folder("--out", place)
        require_outside("--out", place, data)
    for place in (data, data / "work", tmp_path / "link" / "work"):
        with pytest.raises(KitError, match="results would be written into the data folder") as error:
            require_outside("--out", place, data)
        assert error.value.where == "--out"
    for place in (data / "train.csv", data / "train.csv" / "work"):
        with pytest.raises(KitError, match="--out is not a folder") as error:
            require_folder("--out", place)
        assert error.value.where == str(data / "train.csv")


def test_a_file_is_written_beside_others_or_into_a_new_folder(tmp_path):
    (tmp_path / "ensemble.json").touch()
    require_file("--out", tmp_path / "ensemble.json")
    require_file("--out", tmp_path / "new" / "ensemble.json")
    with pytest.raises(KitError, match="--out is a folder"):
        require_file("--out", tmp_path)
    with pytest.raises(KitError, match="--out is not a folder") as error:
        require_file("--out", tmp_path / "ensemble.json" / "ensemble.json")
    assert error.value.where == str(tmp_path / "ensemble.json")


def test_data_is_a_folder(tmp_path):
    require_data(tmp_path)
    (tmp_path / "train.csv").touch()
    with pytest.raises(KitError, match="--data is not a folder"):
        require_data(tmp_path / "train.csv")
    with pytest.raises(KitError, match="data folder is missing"):
        require_data(tmp_path / "gone")
