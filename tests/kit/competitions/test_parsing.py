import re

import pytest

from kit import competitions
from kit.competitions import toml_file
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError

COMPLETE = """
name = "glands"
slug = "find-the-glands"
kind = "semantic"
[images]
train = "train/{id}.tiff"
test = "test/{id}.tiff"
[truth]
form = "text"
file = "train.csv"
mask = "rle"
[submission]
mask = "rle"
[metric]
name = "mean Dice"
"""
DEEP = ".".join("a" * 3000)
"""A dotted key that makes a table in a table in a table ..."""
INSTANCES = COMPLETE.replace("semantic", "instance").replace('"mean Dice"', '"AP"\niou = 0.5')


@pytest.fixture
def refusal(tmp_path):
    """What is said of a TOML file's text: problem, place, remedy."""

    def refuse(text):
        path = tmp_path / "some.toml"
        path.write_text(text)
        with pytest.raises(KitError) as caught:
            competitions.get(path)
        where = str(caught.value.where).replace(str(path), "FILE")
        return caught.value.problem, re.sub(r"^FILE:\d+", "FILE", where), caught.value.fix

    return refuse


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_named_competition_is_a_complete_definition(name):
    definition = parse(PRESETS[name])
    assert (definition.name, definition.slug) == (name, competitions.get(name).slug)


@pytest.mark.parametrize(
    "fault",
    [
        ('mask = "rle"\n[metric]', "[metric]", "submission.mask is missing", "FILE", "name the column"),
        ("[metric]", "[metrics]", "unknown key metrics", "FILE", "did you mean 'metric'? keys are: name,"),
        ('form = "text"', 'fomr = "text"', "unknown key truth.fomr", "FILE [truth]", "did you mean 'form'?"),
        ('"train.csv"', '""', "file is missing", "FILE [truth]", "such as 'train.csv'"),
        (
            '"train.csv"',
            '"masks/{id}.csv"',
            "file is 'masks/{id}.csv', but masks in text and boxes are in one table for all images",
            "FILE [truth]",
            "such as 'train.csv'",
        ),
        (
            'form = "text"',
            'form = "text"\nid = ""',
            "id is missing",
            "FILE [truth]",
            "name the column of train.csv",
        ),
        ("[submission]", '[submission]\nid = ""', "id is ''", "FILE [submission]", "name the column"),
        (
            'mask = "rle"\n[metric]',
            'mask = ""\n[metric]',
            "submission.mask is missing",
            "FILE",
            "name the column",
        ),
        (
            "train/{id}",
            "tr\\u0000n/{id}",
            "train is 'tr\\x00n/{id}.tiff'",
            "FILE [images]",
            "write a relative path",
        ),
        ("kind = ", 'marks = ["/etc"]\nkind = ', "marks is '/etc'", "FILE", "write a relative path"),
        (
            "[metric]",
            '[metadata.columns]\norgan = "organ"\n[metric]',
            "columns.organ needs a table",
            "FILE [metadata]",
            "name one: train",
        ),
        (
            "[metric]",
            f"[metadata]\npixel_size = {'9' * 400}\n[metric]",
            "is too large",
            "FILE",
            "write a number",
        ),
        ("kind = ", f"x = {'9' * 5000}\nkind = ", "not a readable TOML file", "FILE", "docs/competitions.md"),
        (
            "kind = ",
            f"x = {'[' * 20000}\nkind = ",
            "not a readable TOML file",
            "FILE",
            "docs/competitions.md",
        ),
        (
            'form = "text"',
            f"form.{DEEP} = 1",
            "truth.form is {'a': {'a': ",
            "FILE",
            "use one of: 'text', 'images'",
        ),
        ("slug = ", f"marks = {{{DEEP} = 1}}\nslug = ", "marks is {'a': {'a': ", "FILE", "write a text"),
        ("name = ", f"like.{DEEP} = 1\nname = ", "like is {'a': {'a': ", "FILE", "use one of: body"),
        (
            '"text"',
            '"rle"',
            "truth.form is 'rle'",
            "FILE",
            "use one of: 'text', 'images', 'polygons', 'coco'",
        ),
        ('"train.csv"', "7", "truth.file is 7, not a text", "FILE", "write a text"),
        ('"train.csv"', "true", "truth.file is True, not a text", "FILE", "write a text"),
        ('"train.csv"', '"../t.csv"', "file is '../t.csv'", "FILE [truth]", "write a relative path"),
        ('"train.csv"', '"/t.csv"', "file is '/t.csv'", "FILE [truth]", "write a relative path"),
        ('file = "train.csv"', 'file = "t.csv"\nfirst = 2', "first is 2", "FILE [truth]", "write 0 or 1"),
        (
            "test/{id}.tiff",
            "test/*.tiff",
            "test is 'test/*.tiff', which has no {id} in it",
            "FILE [images]",
            "{id} for the",
        ),
        (
            '"text"',
            '"images"',
            "file is 'train.csv', but there is one mask image for each id",
            "FILE [truth]",
            "such as 'train_masks/{id}.png'",
        ),
        (
            'mask = "rle"\n[sub',
            "[sub",
            "mask is missing",
            "FILE [truth]",
            "name the column of train.csv that holds",
        ),
        ('"find-the', '"find/the', "slug is 'find/the-glands'", "FILE", "use letters, digits"),
        (
            '"mean Dice"',
            '"AP"',
            "iou does not fit the metric 'AP'",
            "FILE [metric]",
            "AP needs one number or more, Dice none",
        ),
        (
            '"mean Dice"',
            '"AP"\niou = 0.5',
            "metric.name is 'AP', but kind is 'semantic'",
            "FILE",
            "use one of: 'mean Dice', 'global Dice'; or a metric of your own",
        ),
        (
            '[submission]\nmask = "rle"',
            '[submission]\nmask = "rle"\nheight = "h"',
            "only one of height and width is given",
            "FILE [submission]",
            "name both columns, or neither",
        ),
        (
            "[metric]",
            "[submission.x]\n[metric]",
            "unknown key submission.x",
            "FILE [submission]",
            "keys are:",
        ),
        (
            "[metric]",
            "[metadata]\npixel_size = 0.0\n[metric]",
            "pixel_size is 0.0",
            "FILE [metadata]",
            "above 0",
        ),
        (
            "[metric]",
            "[metadata]\npixel_sizes = {lung = nan}\n[metric]",
            "metadata.pixel_sizes.lung is nan, not a finite number",
            "FILE",
            "correct it",
        ),
        (
            "[metric]",
            "[metadata]\npixel_sizes = 3\n[metric]",
            "metadata.pixel_sizes is 3, not a table",
            "FILE",
            "write a table",
        ),
        (
            "[metric]",
            '[metadata.columns]\ngroup = "patient"\n[metric]',
            "columns.group needs a table of the training images",
            "FILE [metadata]",
            "train = 'train.csv'",
        ),
        (
            'file = "train.csv"',
            'file = "t.csv"\nscored = ["a"]',
            "name types of polygons, but form is 'text'",
            "FILE [truth]",
            "remove both keys",
        ),
        (
            "name = ",
            'like = "heart"\nname = ',
            "like is 'heart'",
            "FILE",
            "use one of: body, kidney, vasculature",
        ),
        (
            '"glands"',
            '"kidney"',
            "the name of a competition the kit knows",
            "FILE",
            "give it a name of its own",
        ),
        ("kind = ", "hidden_images = 0\nkind = ", "has to be at least 1", "FILE", "correct it"),
        ("kind = ", "hidden_images = 2.5\nkind = ", "hidden_images is 2.5, not", "FILE", "write an integer"),
        ("kind = ", "hidden_megapixels = inf\nkind = ", "is inf, not a finite", "FILE", "correct it"),
        ("kind = ", "kind ", "not a readable TOML file", "FILE", "docs/competitions.md shows complete files"),
    ],
)
def test_what_is_wrong_is_said_with_its_key_and_remedy(refusal, fault):
    old, new, problem, where, fix = fault
    assert COMPLETE.count(old) >= 1
    said = refusal(COMPLETE.replace(old, new, 1))
    assert problem in said[0]
    assert said[1] == where
    assert fix in said[2]


@pytest.mark.parametrize(
    ("old", "new", "problem", "fix"),
    [
        ("", "", "submission.encoding is 'pairs', whose text has blanks inside", "encoding = 'coco'"),
        ("iou = 0.5", "iou = [0, 0.5]", "iou is [0.0, 0.5]", "numbers above 0"),
        ("iou = 0.5", "iou = true", "metric.iou is True, not a number", "write a number"),
        ("iou = 0.5", "iou = []", "iou does not fit the metric 'AP'", "one number or more"),
        ("iou = 0.5", "iou = 60", "iou is [60.0]", "up to 1"),
        ("iou = 0.5", "iou = [0.6, 0.5]", "iou is [0.6, 0.5]", "once, in ascending order"),
        ("iou = 0.5", 'iou = ["0.5"]', "metric.iou[0] is '0.5', not a number", "write a number"),
        ('mask = "rle"\n[metric]', 'mask = "rle"\nlabel = "a b"\n[metric]', "label is 'a b'", "one word"),
        (
            'mask = "rle"\n[metric]',
            'mask = "id"\n[metric]',
            "a column is named twice: id, id",
            "another name",
        ),
        (
            'form = "text"',
            'form = "polygons"\nscored = ["a"]\nignored = ["a"]',
            "'a' is both scored and ignored",
            "remove it from one",
        ),
    ],
)
def test_what_is_wrong_with_instances_is_said(refusal, old, new, problem, fix):
    said = refusal(INSTANCES.replace(old, new, 1))
    assert problem in said[0]
    assert fix in said[2]


def test_ignored_types_are_for_instances(refusal):
    text = COMPLETE.replace('form = "text"', 'form = "polygons"\nignored = ["blurred"]')
    assert refusal(text)[0] == "truth.ignored works for instances only"


def test_a_file_that_is_not_there_and_a_file_like_another_without_name(tmp_path, refusal):
    with pytest.raises(KitError, match="there is no such file"):
        competitions.get(tmp_path / "none.toml")
    assert refusal('like = "body"\n')[0] == "name is missing"


def test_like_keeps_what_the_file_leaves_out(tmp_path):
    path = tmp_path / "some.toml"
    path.write_bytes(
        b'\xef\xbb\xbflike = "body"\r\nname = "lungs"\r\n[metadata.columns]\r\norgan = "part"\r\n'
    )
    definition = parse(toml_file.read(path))
    body = parse(PRESETS["body"])
    assert (definition.name, definition.slug, definition.images) == ("lungs", body.slug, body.images)
    assert definition.metadata.columns.organ == "part"
    assert definition.metadata.columns.source == "data_source"
    assert PRESETS["body"]["metadata"]["columns"]["organ"] == "organ"


def test_metrics_are_called_as_people_write_them():
    assert competitions.get("vasculature").metric == "AP@0.6"
    assert parse(_with_iou([0.5, 0.75, 0.95])).metric.text == "mean AP@0.5:0.95"
    assert parse(_with_iou(1)).metric.text == "AP@1"


def _with_iou(iou):
    return {**PRESETS["vasculature"], "metric": {"name": "AP", "iou": iou}}


SERVED = {**PRESETS["kidney"], "name": "served", "hidden_images": 9}
SERVER = {"module": "kaggle_evaluation.slides_inference_server", "deadline": 60}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"deadline": 0}, "server.deadline is 0.0; it has to be above 0"),
        ({"images": 9}, "unknown key server.images"),
        ({"module": "a module"}, "server.module is 'a module', which is no name in Python"),
        ({"argument": "ids"}, "unknown key server.argument"),
        ({"arguments": ["path"]}, "server.arguments[0] is 'path'"),
        ({"arguments": ["ids"]}, "server.arguments is ['ids'], which does not tell the images"),
        ({"arguments": ["bytes"]}, "server.arguments is ['bytes'], which does not tell the images"),
        ({"arguments": ["files", "ids+files"]}, "which does not tell the images"),
        ({"arguments": ["ids", "ids+files"]}, "server.arguments names 'ids' 2 times"),
        ({"columns": ["mask"]}, "server.columns names 'mask', which is no column of the submission"),
    ],
)
def test_a_wrong_table_of_a_server_is_refused_by_its_key(change, said):
    parse({**SERVED, "server": SERVER})
    with pytest.raises(KitError) as error:
        parse({**SERVED, "server": {**SERVER, **change}})
    assert said in error.value.problem


def test_a_server_needs_the_number_of_hidden_images_that_a_file_can_do_without():
    unknown = {**SERVED, "hidden_images": None}
    assert parse(unknown).hidden_images is None
    with pytest.raises(KitError, match="hidden_images is missing"):
        parse({**unknown, "server": SERVER})
