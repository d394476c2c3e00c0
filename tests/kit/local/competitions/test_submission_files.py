import pytest

from kit.local.competitions.submission_files import write_submission


def test_a_submission_is_written_in_column_order_with_newlines(tmp_path):
    path = tmp_path / "out" / "submission.csv"
    rows = [{"predicted": "1 2", "id": "a"}, {"id": "b", "predicted": ""}]
    write_submission(path, ("id", "predicted"), rows)
    assert path.read_bytes() == b"id,predicted\na,1 2\nb,\n"


def test_a_row_with_other_columns_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="the competition needs"):
        write_submission(path, ("id", "predicted"), [{"id": "a", "rle": ""}])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
