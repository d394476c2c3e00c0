"""Errors of a definition name the line of their key, wherever the key stands and however it is written."""

import re

import pytest

from kit import competitions
from kit.competitions.toml_file import line_of
from kit.errors import KitError

TEXT = """\
# a comment
name = "glands"
slug = "find-the-glands"
kind = "semantic"
images.train = "train/{id}.tiff"
images.test = "test/{id}.tiff"

[truth]      # another one
form = "text"
file = "train.csv"
mask = "rle"

[submission]
mask = "rle"

[metric]
name = "mean Dice"

[metadata]
train = "train.csv"
columns = { organ = "organ" }
pixel_sizes = { lung = 0.4, "a/b" = 0.5 }
"""


@pytest.fixture
def place(tmp_path):
    """The line that the error of a changed text names, and its problem."""

    def told(old, new):
        assert TEXT.count(old) == 1
        path = tmp_path / "some.toml"
        path.write_text(TEXT.replace(old, new))
        with pytest.raises(KitError) as caught:
            competitions.get(path)
        found = re.fullmatch(re.escape(str(path)) + r":(\d+)( \[\w+\])?", caught.value.where)
        assert found, caught.value.where
        return int(found[1]), caught.value.problem

    return told


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ('slug = "find', 'slug = 3 # "find', 3, "slug is 3"),
        ("images.test = ", "images.tset = ", 6, "unknown key images.tset"),
        ('images.test = "test/{id}.tiff"', 'images.test = "test.tiff"', 6, "test is 'test.tiff'"),
        ('form = "text"', 'form = "txet"', 9, "truth.form is 'txet'"),
        ('file = "train.csv"\n', "", 8, "truth.file is missing"),
        ('form = "text"', 'form = "text"\norder = [\n  # which one?\n  1,\n]', 10, "truth.order is [1]"),
        ("[submission]\n", '[submission]\nempty = """\n\n"""\nid = ""\n', 17, "id is ''"),
        ('[submission]\nmask = "rle"', "[submission]", 13, "submission.mask is missing"),
        ("[submission]\n", '[submission]\nwidth = "w"\n', 13, "only one of height and width"),
        ('name = "mean Dice"', 'name = "AP"\niou = 0.5', 17, "metric.name is 'AP', but kind is 'semantic'"),
        ('name = "mean Dice"', 'name = "mean Dice"\niou = [0.5, 0.4]', 18, "iou does not fit"),
        ('train = "train.csv"\n', "", 20, "columns.organ needs a table"),
        ('"a/b" = 0.5', '"a/b" = 0', 19, "a/b is 0"),
        ('kind = "semantic"', 'kind = "semantic"\nclasses = ["a",\n"a"]', 5, "classes names 'a' twice"),
        ('kind = "semantic"', 'kind = "values"\ntargets = ["x"]', 10, "truth.form is 'text', but kind"),
        ('kind = "semantic"', 'kind = "semantic"\nkind = "instance"', 5, "not a readable TOML file"),
    ],
)
def test_an_error_names_the_line_of_its_key(place, old, new, line, problem):
    found, said = place(old, new)
    assert problem in said
    assert found == line


def test_every_key_of_a_file_is_found_on_its_line():
    lines = TEXT.splitlines()
    for keys, start in {
        ("name",): "name",
        ("images", "train"): "images.train",
        ("truth",): "[truth]",
        ("truth", "mask"): "mask",
        ("metadata", "columns", "organ"): "columns",
        ("metadata", "pixel_sizes", "a/b"): "pixel_sizes",
    }.items():
        number = line_of(TEXT, keys)
        assert lines[number - 1].startswith(start)
    assert line_of(TEXT, ["truth", "solution"]) is None
    assert line_of(TEXT, ["name", "name"]) is None


def test_a_metric_file_that_is_missing_is_told_with_both_paths(tmp_path):
    path = tmp_path / "some.toml"
    path.write_text(TEXT.replace('name = "mean Dice"', 'file = "metric.py"\nhigher_is_better = true'))
    with pytest.raises(KitError) as caught:
        competitions.get(path)
    assert caught.value.problem == f"metric.file is 'metric.py', but {tmp_path / 'metric.py'} is not there"
    assert caught.value.where == f"{path}:17"
    (tmp_path / "metric.py").write_text("def score(solution, submission, row_id): return 0.5\n")
    assert competitions.get(path).format.metric.source.startswith("def score")
