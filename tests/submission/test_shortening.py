import ast

from hypothesis import assume, example, given
from hypothesis import strategies as st

from submission.runtime.script.importer import full_length
from submission.shortening import first_paragraphs, first_sentences, half_indented, shortened
from tests.submission.test_modules import ROOT

SOURCE = '''"""A module.

Its second paragraph.
"""


class Area:
    """An area
    of pixels.

    Attributes:
        pixels: how many.
    """

    pixels: int = 0  # a comment

    def add(self, number):
        """Add "pixels"

        Args:
            number: of them.
        """
        text = """not a

        docstring"""
        return self.pixels + number, text

    async def short(self): """Short."""
'''
EXPECTED = '''"""A module."""
# +3


class Area:
    """An area
    of pixels."""
    # +4

    pixels: int = 0  # a comment

    def add(self, number):
        """Add "pixels" """
        # +4
        text = """not a

        docstring"""
        return self.pixels + number, text

    async def short(self): """Short."""
'''


def code(text, *, columns=True):
    """The syntax tree with the place where each node begins, and without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node):
            node.body[0].value.value = None
        gone = {"end_lineno", "end_col_offset", *([] if columns else ["col_offset"])}
        for end in gone & set(node._attributes):
            setattr(node, end, None)
    return ast.dump(tree, include_attributes=True)


def test_first_paragraphs_and_comments_stay():
    assert first_paragraphs(SOURCE) == EXPECTED


COMMENTS = '''# Two lines that end
# without a full stop
x = 1
# One line. It stays.
y = """
# Not a comment. It stands
# in a string.
"""
def f(a):
    # 1. What is asked for, e.g. by 1, 2, ... members?
    #
    # The rest
    # follows.
    return [
        a,  # A trailing comment. It stays
        # A comment in brackets that ends
        # here. And goes on.
        # For long.
        # noqa: ERA001 - a word. To tools
        # that has a neighbour.
    ]
# With the text "a":
#     a    b
'''
SHORT_COMMENTS = '''# Two lines that end
# without a full stop
x = 1
# One line. It stays.
y = """
# Not a comment. It stands
# in a string.
"""
def f(a):
    # 1. What is asked for, e.g. by 1, 2, ... members?
    # +3
    return [
        a,  # A trailing comment. It stays
        # A comment in brackets that ends
        # here.
        # +1
        # noqa: ERA001 - a word. To tools
        # that has a neighbour.
    ]
# With the text "a":
#     a    b
'''


def test_of_comments_with_several_lines_the_first_sentence_stays():
    assert first_sentences(COMMENTS) == SHORT_COMMENTS
    assert len(full_length(SHORT_COMMENTS).splitlines()) == len(COMMENTS.splitlines())


INDENTED = '''def f(a):
    """Do it
    well."""
    if a:
        return (
            """a
            b""" + f"""{
                a}
              c"""
        )
'''
HALF = '''def f(a):
  """Do it
  well."""
  if a:
    return (
      """a
            b""" + f"""{
                a}
              c"""
    )
'''


def test_indents_are_halved_but_not_in_strings():
    assert half_indented(INDENTED) == HALF


def test_the_code_of_every_module_gets_its_lines_back():
    paths = [*(ROOT / "kit").rglob("*.py"), *(ROOT / "submission").rglob("*.py")]
    assert len(paths) > 100
    for path in paths:
        text = path.read_text()
        short = first_paragraphs(first_sentences(text))
        assert code(full_length(short)) == code(text), path
        assert first_paragraphs(first_sentences(short)) == short
        assert half_indented(short) == shortened(text)
        assert code(full_length(shortened(text)), columns=False) == code(text, columns=False), path
        compile(short, str(path), "exec")


LINES = st.sampled_from(
    [
        "x = 1",
        "if x:",
        "    y = 2  # trailing. And more",
        "    # Inside. Of a block",
        "    # of two lines",
        "# A comment. Of a sentence",
        "# and its rest",
        "#",
        "",
        's = """A string.',
        "# not a comment. At all",
        '"""',
        "def f():",
        '    """A docstring. With',
        "    more",
        '    """',
        "z = (1,",
        "# noqa: ERA001",
        "2)",
    ]
)


@given(st.lists(LINES, min_size=1, max_size=30).map(lambda lines: "\n".join([*lines, ""])))
@example(COMMENTS)
def test_whatever_the_text_is_its_code_keeps_its_places(text):
    try:
        before = code(text)
    except SyntaxError:
        assume(False)
    assert code(full_length(first_paragraphs(first_sentences(text)))) == before
    assert code(full_length(shortened(text)), columns=False) == code(text, columns=False)
