import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.errors import KitError
from kit.local.kaggle_names import fate, mangle, safe, without_archive_ending


@pytest.mark.parametrize(
    ("name", "arrives"),
    [
        ("torch-2.13.0+cu126-cp313-cp313-linux_x86_64.whl", "torch-2.13.0cu126-cp313-cp313-linux_x86_64.whl"),
        ("a~b=c.bin", "abc.bin"),
        ("poids/modèle.bin", "poids/modle.bin"),
        ("plain-1.0.whl", "plain-1.0.whl"),
    ],
)
def test_kaggle_strips_what_it_does_not_like(name, arrives):
    assert mangle(name) == arrives


@pytest.mark.parametrize("name", ["a@b.bin", "folder/r&d.bin"])
def test_names_that_fail_the_whole_dataset_are_refused(name):
    with pytest.raises(KitError, match="Kaggle refuses datasets with"):
        mangle(name)


def test_a_name_of_which_nothing_is_left_is_refused():
    with pytest.raises(KitError, match="nothing is left of the name"):
        mangle("folder/+++")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.zip", "unpacked"),
        ("a.TAR.GZ", "unpacked"),
        ("a.csv.gz", "gunzipped"),
        ("a.pth", "perhaps unpacked"),
        ("a.safetensors", "kept"),
        ("a.whl", "kept"),
    ],
)
def test_archives_do_not_arrive_as_they_were_sent(name, expected):
    assert fate(name) == expected


@given(st.text())
def test_a_safe_name_survives_whatever_it_was_made_from(name):
    assert mangle(safe(name)) == safe(name)
    assert fate(safe(name)) == "kept"


@given(st.text(st.characters(codec="ascii", exclude_characters="@&/"), min_size=1))
def test_mangling_twice_changes_nothing_more(name):
    try:
        once = mangle(name)
    except KitError:
        return
    assert mangle(once) == once


def test_safe_names_that_survive_already_are_left_alone():
    assert safe("unet-regnety16.fold0.safetensors") == "unet-regnety16.fold0.safetensors"
    assert safe("unet+tta.zip") == "unet-tta.zip.bin"


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a.zip", "a"),
        ("a.b.TAR.GZ", "a.b"),
        ("a.tgz", "a"),
        ("a.tar", "a"),
        ("a.pth", "a.pth"),
        ("a.gz", "a.gz"),
    ],
)
def test_an_archive_becomes_a_folder_without_its_ending(name, folder):
    assert without_archive_ending(name) == folder
