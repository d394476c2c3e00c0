"""The request of a push: complete, certain of its name, and refused before Kaggle would change it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slugify import slugify

from kit.errors import KitError
from kit.local.kaggle.kernel_metadata import Kernel, request, slug, source_text, text_identity

DIGEST = "host/kaggle-gpu-images/python@sha256:" + "0" * 64


@pytest.fixture
def kernel(tmp_path):
    source = tmp_path / "predict.py"
    source.write_text("print(1)\n")
    return Kernel(
        owner="alice", title="Kit kidney", source=source, kind="script", datasets=("alice/weights",)
    )


@given(st.text("abcXYZ019 -", min_size=5, max_size=50))
def test_a_title_that_is_taken_has_one_name_by_every_rule(title):
    try:
        made = slug(title)
    except KitError:
        return
    assert made == slugify(title) == slugify(title[:50]) == slug(made)
    assert 5 <= len(made) <= 50


@pytest.mark.parametrize(
    "title", ["Kit", "a" * 51, "Größe des Netzes", "kit_kidney", "- - - -", "1,000 nets"]
)
def test_a_title_whose_name_is_not_certain_is_refused(title):
    with pytest.raises(KitError, match="title"):
        slug(title)


def test_every_field_is_written_and_the_internet_is_off(kernel):
    fields = request(kernel, "print(1)\n")
    assert fields["slug"] == "alice/kit-kidney"
    off = ("enableInternet", "enableGpu", "enableTpu")
    assert [fields[name] for name in off] == [False, False, False]
    assert fields["isPrivate"] is True
    assert fields["datasetDataSources"] == ["alice/weights"]
    assert {"competitionDataSources", "kernelDataSources", "modelDataSources"} <= fields.keys()
    pinned = request(replace(kernel, accelerator="NvidiaTeslaT4", image=DIGEST, timeout_s=60), "")
    assert (pinned["machineShape"], pinned["enableGpu"], pinned["dockerImage"]) == (
        "NvidiaTeslaT4",
        True,
        DIGEST,
    )
    assert pinned["sessionTimeoutSeconds"] == 60


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accelerator": "NvidiaTeslaP100"}, "would silently get NvidiaTeslaT4"),
        ({"accelerator": "T4"}, "not the name of an accelerator"),
        ({"image": "host/kaggle-images/python:latest"}, "names no image for certain"),
        ({"image": DIGEST.replace("kaggle-gpu-images", "kaggle-private-byod")}, "private name"),
        ({"datasets": ("weights",)}, "its form is owner/name"),
        ({"datasets": ("alice/weights", "alice/weights")}, "twice"),
        ({"models": ("alice/unet/pytorch/base",)}, "its form is owner/model/framework/variation/version"),
        ({"owner": "a b"}, "no Kaggle user name"),
    ],
)
def test_what_kaggle_would_refuse_or_change_is_refused_here(kernel, change, words):
    with pytest.raises(KitError, match=words):
        replace(kernel, **change)


def test_a_notebook_goes_without_outputs_and_with_one_text_a_cell(kernel, tmp_path):
    cells = [
        {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": [{"data": "1"}], "execution_count": 1},
        {"cell_type": "markdown", "source": "words"},
    ]
    path = tmp_path / "predict.ipynb"
    path.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    text = source_text(replace(kernel, source=path, kind="notebook"))
    sent = json.loads(text)["cells"]
    assert [cell["source"] for cell in sent] == ["a = 1\na", "words"]
    assert sent[0]["outputs"] == []
    assert text_identity(text) == text_identity(json.dumps(json.loads(text), indent=3))
    path.write_text("{}")
    with pytest.raises(KitError, match="no notebook"):
        source_text(replace(kernel, source=path, kind="notebook"))


def test_a_source_of_a_megabyte_is_too_large(kernel):
    kernel.source.write_text("#" * 1_000_000)
    with pytest.raises(KitError, match="1000000 bytes"):
        source_text(kernel)


def test_line_ends_do_not_make_another_source():
    assert text_identity("a\r\nb  \n") == text_identity("a\nb")
    assert text_identity("a\nb") != text_identity("a\nc")
