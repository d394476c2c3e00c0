"""Where weights lie in their dataset: at the top as long as Kaggle allows it, then in archives."""

from hypothesis import given
from hypothesis import strategies as st

from bundle.archives import ARCHIVE_SUFFIX, place_weights


@given(st.integers(0, 300))
def test_every_file_has_a_place_and_the_top_has_at_most_46_entries(count):
    files = [f"{number}.safetensors" for number in range(count)]
    places = place_weights(files)
    assert [place.rpartition("/")[2] for place in places] == files
    assert len({place.partition("/")[0] for place in places}) <= 46
    assert (places == files) == (count <= 46)


def test_archives_are_as_small_as_the_limit_allows():
    places = place_weights([f"{number}" for number in range(64)])
    assert places[:3] == [
        f"weights-01{ARCHIVE_SUFFIX}/0",
        f"weights-01{ARCHIVE_SUFFIX}/1",
        f"weights-02{ARCHIVE_SUFFIX}/2",
    ]
    assert places[-1] == f"weights-32{ARCHIVE_SUFFIX}/63"
