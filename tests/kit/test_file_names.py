from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.file_names import LONGEST, file_name

_TEXT = st.text(st.characters() | st.sampled_from("\ud800\udfff\0/\\.~ aA"), max_size=200)


@given(_TEXT)
def test_a_name_is_one_plain_part_of_a_path(text: str) -> None:
    name = file_name(text)
    assert name.isascii()
    assert 0 < len(name) <= LONGEST
    assert not {char for char in name if char in '/\\:*?"<>|' or not "!" <= char <= "~"}
    assert "." not in {name[0], name[-1]}
    assert Path("folder", name).parent == Path("folder")


@given(st.sets(_TEXT, min_size=2))
def test_two_ids_never_share_a_name_even_where_case_makes_no_difference(texts: set[str]) -> None:
    assert len({file_name(text).lower() for text in texts}) == len(texts)


@given(_TEXT)
def test_the_name_of_a_name_is_another_one(text: str) -> None:
    name = file_name(text)
    assert name == text or file_name(name) != name, "an id that looks like the name of another id"


@pytest.mark.parametrize("text", ["aa05346ff", "0486052bb", "7", "im_01-a", "a.b"])
def test_usual_ids_stay_as_they_are(text: str) -> None:
    assert file_name(text) == text


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../../x", "/etc", "a\0b", "\ud800", "nul", "con.tif", ".a", "a.", "A", "é", "x" * 999],
)
def test_others_are_files_in_their_folder(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{file_name(text)}.npy").write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == [f"{file_name(text)}.npy"] != [f"{text}.npy"]
