import ast

from hypothesis import example, given
from hypothesis import strategies as st

from submission.modules import LOCAL
from submission.runtime.script.importer import full_length
from submission.shortening import (
    half_indented,
    joined_marks,
    short_docstrings,
    shortened,
    without_comments,
    without_future,
    without_types,
)
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


class Quoted:
    """Hold "it"

    Attributes:
        number: of them.
    """

    number = 1


def public():
    """Return 1."""
    return 1
'''
EXPECTED = '''"""A module."""
# +3


class Area:
    """An area
    of pixels."""
    # +4

    pixels: int = 0  # a comment

    def add(self, number):
        # +5
        text = """not a

        docstring"""
        return self.pixels + number, text

    async def short(self): """Short."""


class Quoted:
    """Hold "it" """
    # +4

    number = 1


def public():
    # +1
    return 1
'''


def code(text, *, columns=True):
    """The syntax tree with the place where each node begins, without useless strings and types."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for kind in ("annotation", "returns"):
            if kind in node._fields and not isinstance(node, ast.AnnAssign):
                setattr(node, kind, None)
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [item for item in body if not is_string(item)]
        gone = {"end_lineno", "end_col_offset", *([] if columns else ["col_offset"])}
        for end in gone & set(node._attributes):
            setattr(node, end, None)
    return ast.dump(tree, include_attributes=True)


def is_string(item):
    return (
        isinstance(item, ast.Expr)
        and isinstance(item.value, ast.Constant)
        and isinstance(item.value.value, str)
    )


def test_the_first_sentences_of_docstrings_stay():
    assert short_docstrings(SOURCE) == EXPECTED


PRIVATE = '''_LIMIT = 3
"""Most of them. Not more."""


def _private(a):
    """Do it,
    and more."""
    return a


def _only():
    """Its docstring is all it has. So its first sentence stays.

    Not more.
    """


def _beside(): "Do it."; return 1


class _Hidden:
    """Hold one, e.g. 3 or 4, of them. Or two.

    More.
    """

    field: int
    """Documented."""

    def method(self):
        """Return it."""
        return self.field

    def only(self):
        """Return nothing."""
'''
SHORT_PRIVATE = '''_LIMIT = 3
# +1


def _private(a):
    # +2
    return a


def _only():
    """Its docstring is all it has."""
    # +3


def _beside(): "Do it."; return 1


class _Hidden:
    """Hold one, e.g. 3 or 4, of them."""
    # +3

    field: int
    # +1

    def method(self):
        # +1
        return self.field

    def only(self):
        """Return nothing."""
'''


def test_functions_and_constants_lose_their_docstrings():
    assert short_docstrings(PRIVATE) == SHORT_PRIVATE


COMMENTS = '''# Two lines that end
# without a full stop
x = 1
# One line.
y = """
# Not a comment. It stands
# in a string.
"""
def f(a):
    # A picture:
    #
    #     a    b
    return [
        a,  # A trailing comment
        # A comment in brackets
        # noqa: ERA001
    ]
'''
SHORT_COMMENTS = '''# +2
x = 1

y = """
# Not a comment. It stands
# in a string.
"""
def f(a):
    # +3
    return [
        a,
        # +2
    ]
'''


def test_comments_become_marks_and_blank_lines():
    assert joined_marks(without_comments(COMMENTS)) == SHORT_COMMENTS
    assert len(full_length(SHORT_COMMENTS).splitlines()) == len(COMMENTS.splitlines())


TYPED = """class A:
    x: dict[str, int] = {}

    def f(self, é: dict[str, int], *args: int, k: "ü | None" = None, **more: object) -> A | None:
        y: int = 2
        return lambda a: y

    async def g(
        self,
        a: dict[
            str, int
        ],
        b: int,
    ) -> tuple[
        int, int
    ]:
        return a, b
"""
UNTYPED = """class A:
    x: dict[str, int] = {}

    def f(self, é, *args, k = None, **more):
        y: int = 2
        return lambda a: y

    async def g(
        self,
        a: dict[
            str, int
        ],
        b,
    ) -> tuple[
        int, int
    ]:
        return a, b
"""


def test_functions_lose_their_types_and_fields_keep_them():
    assert without_types(TYPED) == UNTYPED


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


def test_the_code_of_every_module_that_may_be_embedded_gets_its_lines_back():
    local = ROOT.joinpath(*LOCAL.split("."))
    paths = [path for path in (ROOT / "kit").rglob("*.py") if not path.is_relative_to(local)]
    paths += (ROOT / "submission" / "runtime").rglob("*.py")
    assert len(paths) > 100
    for path in paths:
        text = without_future(path.read_text())
        assert text.count("\n") == path.read_text().count("\n")
        short = joined_marks(without_comments(short_docstrings(text)))
        assert code(full_length(short)) == code(text), path
        assert joined_marks(without_comments(short_docstrings(short))) == short
        assert half_indented(joined_marks(without_types(short))) == shortened(path.read_text())
        assert code(full_length(shortened(text)), columns=False) == code(text, columns=False), path
        compile(short, str(path), "exec")


STATEMENTS = st.sampled_from(
    [
        "x = 1",
        "if x:\n    y = 2  # trailing. And more",
        "if x:\n    # Inside. Of a block\n    # of two lines\n    pass\n    # at its end",
        "# A comment. Of a sentence\n# and its rest",
        "#",
        "",
        's = """A string.\n# not a comment. At all\n"""',
        '"""A string that nobody uses. And\nmore"""',
        'def f():\n    """A docstring. With\n    more\n    """',
        'def _f():\n    """A docstring. With\n\n    more\n    """\n    return 1',
        'class A:\n    """One line. And more."""\n\n    x: int = 1\n    """A field."""',
        "z = (1,\n# noqa: ERA001\n2)",
        'def t(a: int, *b: "é", c: list[\n    int] = ()) -> dict[str, int]:\n    return a',
        'g = f"""{\n  x}\n  text""" + \\\n    s',
    ]
)


@given(st.lists(STATEMENTS, min_size=1, max_size=12).map(lambda lines: "\n".join([*lines, ""])))
@example(COMMENTS)
def test_whatever_the_text_is_its_code_keeps_its_places(text):
    before = code(text)
    assert code(full_length(without_comments(short_docstrings(text)))) == before
    assert code(full_length(shortened(text)), columns=False) == code(text, columns=False)
