import json

from hypothesis import given
from hypothesis import strategies as st

from submission.readable_json import WIDTH, readable_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


@given(VALUES)
def test_it_is_the_same_value_with_sorted_keys(value):
    text = readable_json(value)
    assert json.loads(text) == value
    assert json.dumps(json.loads(text), sort_keys=True) == json.dumps(value, sort_keys=True)
    assert text.endswith("\n")


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_lines_of_numbers_are_no_longer_than_promised(value):
    assert max(map(len, readable_json(value).splitlines())) <= WIDTH


def test_what_fits_into_a_line_stands_in_one():
    members = [{"name": f"unet.fold{fold}", "sha256": "0" * 64} for fold in range(2)]
    assert readable_json({"weights": [0.25] * 30, "members": members}).splitlines() == [
        "{",
        ' "members": [',
        f'  {{"name": "unet.fold0", "sha256": "{"0" * 64}"}},',
        f'  {{"name": "unet.fold1", "sha256": "{"0" * 64}"}}],',
        ' "weights": [',
        f"  {', '.join(['0.25'] * 19)},",
        f"  {', '.join(['0.25'] * 11)}]}}",
    ]
