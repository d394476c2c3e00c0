import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.competitions.path_parts import PartsPattern
from kit.errors import KitError

SLICES = PartsPattern("test/{volume}/slice_{slice}.png", (), "{volume}_{slice}")
WORD = st.text("ab01_", min_size=1, max_size=4)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_ids_are_made_of_parts_and_paths_of_ids(tmp_path):
    touch(
        tmp_path, "test/k_1/slice_0007.png", "test/k_2/slice_0007.png", "test/k_2/._slice_1.png", "test/x.png"
    )
    assert SLICES.ids(tmp_path) == ["k_1_0007", "k_2_0007"]
    for image_id in SLICES.ids(tmp_path):
        assert SLICES.path(tmp_path, image_id).is_file()
    assert SLICES.path(tmp_path, "k_1_0007") == tmp_path / "test/k_1/slice_0007.png"
    assert SLICES.path(tmp_path, "K_1_0007.png") == tmp_path / "test/k_1/slice_0007.png"


def test_a_file_that_is_missing_has_the_likeliest_path(tmp_path):
    assert SLICES.path(tmp_path, "kidney_1_dense_0007") == tmp_path / "test/kidney_1_dense/slice_0007.png"


def test_an_id_that_means_two_files_is_an_error(tmp_path):
    touch(tmp_path, "test/a_b/slice_c.png", "test/a/slice_b_c.png")
    with pytest.raises(KitError, match="'a_b_c' means") as caught:
        SLICES.path(tmp_path, "a_b_c")
    assert "rename" in caught.value.fix


@pytest.mark.parametrize("image_id", ["a", "_a", "a_", "", "..__..", "../x_1", "a_/etc"])
def test_ids_of_another_form_and_paths_that_lead_out(tmp_path, image_id):
    with pytest.raises(KitError, match="is not made as"):
        SLICES.path(tmp_path, image_id)


@given(st.sets(st.tuples(WORD, WORD), min_size=1, max_size=6))
def test_every_file_is_found_by_its_id_or_the_id_is_ambiguous(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("parts")
    touch(folder, *(f"test/{volume}/slice_{slice_}.png" for volume, slice_ in pairs))
    ids = {f"{volume}_{slice_}" for volume, slice_ in pairs}
    assert SLICES.ids(folder) == sorted(ids)
    for volume, slice_ in pairs:
        try:
            found = SLICES.path(folder, f"{volume}_{slice_}")
        except KitError as error:
            assert "means" in error.problem  # noqa: PT017  # an error is allowed, another one is not
        else:
            assert found == folder / f"test/{volume}/slice_{slice_}.png"


def test_a_part_that_ids_do_not_have_is_looked_for(tmp_path):
    pattern = PartsPattern("train/{class}/{id}.jpg")
    touch(tmp_path, "train/cat/1.jpg", "train/dog/2.JPG", "train/dog/3.txt")
    assert pattern.ids(tmp_path) == ["1", "2"]
    assert pattern.path(tmp_path, "2") == tmp_path / "train/dog/2.JPG"
    assert pattern.path(tmp_path, "1.jpg") == tmp_path / "train/cat/1.jpg"
    assert pattern.path(tmp_path, "9") == tmp_path / "train/*/9.jpg"
    touch(tmp_path, "train/dog/9.jpg")
    assert pattern.path(tmp_path, "9").is_file(), "it may come later"
    touch(tmp_path, "train/dog/1.jpg")
    with pytest.raises(KitError, match="'1' means"):
        PartsPattern("train/{class}/{id}.jpg", ("x",)).path(tmp_path, "1")


def test_folders_of_slices_are_images(tmp_path):
    pattern = PartsPattern("test/{id}", (), "{id}", "*.dcm")
    touch(tmp_path, "test/p1/1.dcm", "test/p2/1.dcm", "test/stray.dcm")
    assert pattern.ids(tmp_path) == ["p1", "p2"]
    assert pattern.path(tmp_path, "p2") == tmp_path / "test/p2"


def test_names_without_a_suffix_in_the_pattern(tmp_path):
    pattern = PartsPattern("test/{folder}/{name}", (".png", ".jpg"), "{folder}-{name}")
    touch(tmp_path, "test/a/1.png", "test/a/2.jpg", "test/a/3.txt")
    assert pattern.ids(tmp_path) == ["a-1.png", "a-2.jpg"]
    assert pattern.path(tmp_path, "a-1") == tmp_path / "test/a/1.png"
    assert pattern.path(tmp_path, "a-1.png") == tmp_path / "test/a/1.png"


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("v/slice_7.png", "v_7"),
        ("/data/v/slice_7.jpg", "v_7"),
        ("slice_7.png", None),
        ("", None),
        ("v/7.png", None),
    ],
)
def test_a_name_in_some_table_means_an_image(name, image_id):
    assert SLICES.id_of(name) == image_id


def test_a_name_where_ids_have_the_last_part_alone():
    assert PartsPattern("train/{class}/{id}.jpg").id_of("x/5.png") == "5"
