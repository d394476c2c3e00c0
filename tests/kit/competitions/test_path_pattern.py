from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions.path_pattern import PathPattern
from kit.errors import KitError

FORMS = ("test/{id}.tiff", "{id}.tif", "{id}/image.tif", "{id}", "a/{id}/b_{id}.tif")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image_id", ["../x", "../../x", "a/../../x", "a\0b", "\ud800"])
def test_an_id_that_leaves_the_data_folder_is_refused_by_name(tmp_path, form, image_id):
    if form.startswith("test/") and image_id == "../x":
        image_id = "../../x"
    with pytest.raises(KitError, match="no name of a file in the data folder") as caught:
        PathPattern(form).path(tmp_path, image_id)
    assert repr(image_id) in str(caught.value)


def test_neither_does_an_id_that_leaves_it_without_its_suffix(tmp_path):
    with pytest.raises(KitError, match="no name of a file in the data folder"):
        PathPattern("{id}/image.tif").path(tmp_path, "...tif")


@pytest.mark.parametrize("form", ["{id}", "{id}.tif"])
def test_an_absolute_id_is_refused(tmp_path, form):
    with pytest.raises(KitError, match="'/etc/hostname'"):
        PathPattern(form).path(tmp_path, "/etc/hostname")


@given(st.sampled_from(FORMS), st.text(st.characters() | st.sampled_from("./\0\ud800"), max_size=20))
def test_every_other_path_lies_in_the_data_folder(form, image_id):
    folder = Path("/data/of/competition")
    try:
        path = PathPattern(form).path(folder, image_id)
    except KitError:
        return
    assert path.is_relative_to(folder)
    assert ".." not in path.parts
    bytes(path)


@pytest.mark.parametrize("image_id", ["7", "aa05346ff", "a b", "é", "case1/day2", "..x", "x.."])
def test_names_stay_as_they_are(tmp_path, image_id):
    assert PathPattern("test/{id}.tif").path(tmp_path, image_id) == tmp_path / f"test/{image_id}.tif"
