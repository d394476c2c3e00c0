import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.competitions.server import server_of
from kit.errors import KitError
from submission.runtime.server.calls import answer_columns, read_call


def served(name="vasculature", **server):
    """Definition and table of a competition with an evaluation API."""
    table = {"module": "kaggle_evaluation.x", "deadline": 60, **server}
    definition = parse({**PRESETS[name], "name": "served", "hidden_images": 9, "server": table})
    return definition, server_of(definition)


PATHS = {"a": Path("/kaggle/shared/x/test/a.tif"), "b": Path("/kaggle/shared/x/test/b.tif")}


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (["files"], [[str(path) for path in PATHS.values()]]),
        (["files"], [tuple(map(str, PATHS.values()))]),
        (["files", "unused"], [pd.Series(map(str, PATHS.values())), object()]),
        (["ids", "files"], [["a", "b"], [str(path) for path in PATHS.values()]]),
        (["unused", "ids+files"], [None, pd.DataFrame({"path": map(str, PATHS.values()), "id": ["a", "b"]})]),
        (["ids+files"], [{"id": ["a", "b"], "path": [str(path) for path in PATHS.values()]}]),
    ],
)
def test_ids_and_files_are_found_in_whatever_a_gateway_sends(arguments, values):
    definition, server = served(arguments=arguments)
    batch = read_call(definition, server, values)
    assert batch.asked == ("a", "b")
    assert batch.files == PATHS


def test_one_image_may_come_alone_as_a_path():
    batch = read_call(*served(arguments=["files"]), [str(PATHS["a"])])
    assert batch.files == {"a": PATHS["a"]}


def test_contents_are_written_into_a_folder(tmp_path):
    batch = read_call(*served(arguments=["ids", "bytes"]), [[7, 8], [io.BytesIO(b"one"), b"two"]])
    stored = batch.stored(tmp_path)
    assert {image: path.read_bytes() for image, path in stored.items()} == {"7": b"one", "8": b"two"}


def test_an_answer_has_a_row_for_each_id_as_it_came_and_numbers_where_these_are_sizes():
    definition, server = served(arguments=["ids", "files"])
    batch = read_call(definition, server, [[7, "b", 7], ["x/7.tif", "x/b.tif", "x/7.tif"]])
    form = definition.submission
    rows = {image: [form.row(image, (3, 4), f"mask of {image}")] for image in ("7", "b")}
    columns = answer_columns(definition, server, batch, rows)
    assert columns == {
        "id": [7, "b", 7],
        "height": [3, 3, 3],
        "width": [4, 4, 4],
        "prediction_string": ["mask of 7", "mask of b", "mask of 7"],
    }
    fewer = replace(server, columns=("prediction_string",))
    assert list(answer_columns(definition, fewer, batch, rows)) == ["prediction_string"]


def test_an_answer_has_all_rows_of_an_image_and_numbers_where_these_are_values():
    table = {"module": "kaggle_evaluation.x", "deadline": 60, "arguments": ["ids", "files"]}
    definition = parse(
        {
            **PRESETS["body"],
            "name": "served",
            "kind": "values",
            "classes": ["a", "b"],
            "truth": {"form": "table", "file": "train.csv"},
            "submission": {"id": "ID", "row_id": "{id}_{class}", "value": "p"},
            "metric": {"name": "log loss"},
            "hidden_images": 9,
            "server": table,
        }
    )
    server = server_of(definition)
    batch = read_call(definition, server, [["x", "y"], ["1.tif", "2.tif"]])
    rows = {
        image: [{"ID": f"{image}_{name}", "p": value} for name, value in (("a", "0.25"), ("b", "1"))]
        for image in ("x", "y")
    }
    assert answer_columns(definition, server, batch, rows) == {
        "ID": ["x_a", "x_b", "y_a", "y_b"],
        "p": [0.25, 1.0, 0.25, 1.0],
    }


def test_an_id_without_a_file_gets_a_path_where_nothing_is():
    batch = read_call(*served(arguments=["ids", "files"]), [["a", "b"], [str(PATHS["a"])]])
    assert batch.files["a"] == PATHS["a"]
    assert not batch.files["b"].exists()


def test_two_calls_are_the_same_only_if_all_they_bring_is():
    def key(ids, contents):
        return read_call(*served(arguments=["ids", "bytes"]), [ids, contents]).key

    same = key(["a", "b"], [b"1", b"2"])
    assert key(["a", "b"], [b"1", b"2"]) == same
    others = {
        key(["b", "a"], [b"1", b"2"]),
        key(["a", "b"], [b"2", b"1"]),
        key(["a", "b"], [b"12", b""]),
        key(["a"], [b"1"]),
        key(["a", "b", "a"], [b"1", b"2"]),
    }
    assert len(others) == 5
    assert same not in others


@pytest.mark.parametrize(
    ("arguments", "values", "said"),
    [
        (["files"], [], "it has 0 arguments, but server.arguments names 1"),
        (["files"], [[]], "it brings 0 ids and 0 files"),
        (["ids", "files"], [["a"], ["x/a.tif", "x/b.tif"]], "it brings 1 ids and 2 files"),
        (["ids+files"], [pd.DataFrame({"id": ["a"], "file": ["x"]})], "its table has no column 'path'"),
        (["ids+files"], [{"path": ["x"]}], "its table has no column 'id'"),
    ],
)
def test_a_call_that_is_not_as_declared_is_refused_in_words(arguments, values, said):
    with pytest.raises(KitError) as error:
        read_call(*served(arguments=arguments), values)
    assert said in error.value.problem
