"""docs/images.md: its tables are possible, and it explains every key."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from kit.competitions.image_rules import modules
from kit.competitions.images_check import check_images
from kit.competitions.images_format import Images
from kit.images.intensity_rule import intensity_of

PAGE = (Path(__file__).parents[3] / "docs" / "images.md").read_text()
TABLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", TABLES)
def test_every_table_is_possible(text):
    images = Images(**tomllib.loads(text)["images"])
    check_images(images)
    assert images.special
    assert modules(images)


def test_every_key_is_explained():
    section = PAGE[PAGE.index("## Keys") :]
    for item in dataclasses.fields(Images):
        assert f"`{item.name}`" in section


def test_every_rule_of_intensity_is_explained():
    section = PAGE[PAGE.index("## Which samples") : PAGE.index("## EXIF")]
    named = re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)
    values = [
        tomllib.loads(f"x = {name.replace('low', '1').replace('high', '2')}")["x"] for name in named[1:]
    ]
    assert {intensity_of(value).form for value in values} == {
        "full range",
        "range",
        "percentiles",
        "dicom window",
    }
