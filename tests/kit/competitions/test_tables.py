import csv

import pytest

from kit.competitions.tables import header_of, read_table
from kit.errors import KitError


def written(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    return path


def message(path, columns=("id", "predicted"), **options):
    with pytest.raises(KitError) as caught:
        read_table(path, columns, **options)
    return str(caught.value)


def test_rows_know_their_line_and_id(tmp_path):
    rows = read_table(
        written(tmp_path, b'\xef\xbb\xbfpredicted,id\r\n"1 2",a\r\n\r\n,b\r\n'), ("id", "predicted")
    )
    assert [(row.id, row.cells["predicted"], row.line) for row in rows] == [("a", "1 2", 2), ("b", "", 4)]
    assert rows[1].where == f"{tmp_path / 'table.csv'}:4 (id b)"


def test_a_field_of_many_megabytes_is_read(tmp_path):
    csv.field_size_limit(1 << 17)
    text = "1 1 " * (1 << 20)
    rows = read_table(written(tmp_path, f"id,predicted\na,{text}\n".encode()), ("id", "predicted"))
    assert rows[0].cells["predicted"] == text


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "file is empty"),
        (b"id,predicted\n", "table has a header but no rows"),
        (b"id,rle\na,\n", "columns are 'id,rle'"),
        (b"id,predicted,id\na,,a\n", "column 'id' is there twice"),
        (b"id,predicted\na\n", "the header has 2 fields, this row 1"),
        (b"id,predicted\na,1,2\n", "the header has 2 fields, this row 3"),
        (b'id,predicted\na,"1 2\n', "not a readable CSV file: unexpected end of data"),
        (b"id,predicted\n\xff,\n", "not a readable CSV file: 'utf-8' codec"),
        (b"id,predicted\na\0,\n", "row holds a zero byte"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, content, shown):
    path = written(tmp_path, content)
    text = message(path)
    assert shown in text
    assert str(path) in text
    assert "fix:" in text


def test_the_line_of_a_short_row_is_named(tmp_path):
    path = written(tmp_path, b"id,predicted\na,\nb\n")
    assert f"where: {path}:3" in message(path)


def test_a_missing_file_and_a_folder_in_its_place_are_told_apart(tmp_path):
    assert "file is missing" in message(tmp_path / "none.csv")
    assert "not a readable CSV file: [Errno 21]" in message(tmp_path)


def test_other_columns_are_allowed_on_request_only(tmp_path):
    path = written(tmp_path, b"id,more\na,1\n")
    assert read_table(path, ("id",), more=True)[0].id == "a"
    assert "the first line has to be: id" in message(path, ("id",))


def test_header_of_something_unreadable_is_empty(tmp_path):
    assert header_of(tmp_path / "none.csv") == []
    assert header_of(tmp_path) == []
    assert header_of(written(tmp_path, b"\xff\xfe")) == []
    assert header_of(written(tmp_path, b"a,b\nc\n")) == ["a", "b"]
