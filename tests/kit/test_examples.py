"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import kit

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(kit.__path__, "kit.")
    if module.name.startswith(
        ("kit.file_names", "kit.images.", "kit.masks.", "kit.inference.", "kit.local.masks.")
    )
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
