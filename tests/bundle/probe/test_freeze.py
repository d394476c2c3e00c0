"""Lists of packages as people have them."""

import json

import pytest

from bundle.probe.freeze import read_freeze
from kit.errors import KitError

FREEZE = """\
# a comment
--find-links https://host/simple
absl_py==1.4.0
torch==2.11.0+cu128
torchvision @ https://host/whl/torchvision-0.26.0%2Bcu128-cp313-cp313-linux_x86_64.whl#sha256=00
segment-anything @ git+https://host/segment-anything@6fdee8f
-e git+https://host/own.git@1234#egg=own_package
-e /home/someone/other
"""


def read(tmp_path, text):
    path = tmp_path / "freeze.txt"
    path.write_text(text)
    return read_freeze(path)


def test_pip_freeze(tmp_path):
    packages, unknown = read(tmp_path, FREEZE)
    assert packages == {"absl-py": "1.4.0", "torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128"}
    assert unknown == ["own-package", "segment-anything"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"name": "Pillow", "version": "11.3.0"}, {"name": "uv", "version": "0.11.13"}]),
        "Package Version\n------- -------\nPillow  11.3.0\nuv      0.11.13\n",
        "\ufeffPillow==11.3.0\r\nuv==0.11.13\r\n",
    ],
)
def test_pip_list_in_its_other_forms(tmp_path, text):
    assert read(tmp_path, text)[0] == {"pillow": "11.3.0", "uv": "0.11.13"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no package"),
        ("[1]", "no list"),
        ("[{", "no list"),
        ("<!DOCTYPE html>", "line 1 is no line"),
        ("six==1.17.0\nsix==1.16.0", "listed twice"),
        ("six==latest", "no version"),
        ("six==" + "1" * 5000, "no version"),
    ],
)
def test_what_is_no_such_list_is_refused_with_the_line(tmp_path, text, words):
    with pytest.raises(KitError, match=words):
        read(tmp_path, text)
