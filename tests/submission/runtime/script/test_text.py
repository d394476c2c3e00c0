"""Texts in predict.py: whatever they hold, Python reads back the same, and none becomes code."""

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.runtime.script.text import literal, part_text, script_text

texts = st.text(st.characters()) | st.text("'\"\\ \n\r\0a\u202e")


@given(texts)
@example("one line")
@example("two\nlines")
@example("'''")
@example("ends with \\\n\\")
def test_a_text_is_itself_again_in_one_expression(text):
    code = literal(text)
    assert ast.literal_eval(code) == text
    assert len(ast.parse(code).body) == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a b", '"a b"'),
        ('say "a"\n', "r'''say \"a\"\n'''"),
        ("back\\slash", "r'''back\\slash'''"),
        ("it's", '"it\'s"'),
        ("tail'\n'", "\"tail'\\n'\""),
        ("nul\0", "'nul\\x00'"),
    ],
)
def test_it_stays_readable_where_it_can(text, code):
    assert literal(text) == code


@given(st.dictionaries(st.text("ab/.", min_size=1), texts.map(lambda text: text + "\n"), max_size=3))
def test_a_script_holds_its_parts(parts):
    space = {}
    exec(script_text("help", parts, tail="done = True\n"), space)
    assert (space["__doc__"], space["done"]) == ("help", True)
    assert {name: part_text(text) for name, text in space["PARTS"].items()} == parts
