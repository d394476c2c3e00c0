import ast

from hypothesis import example, given
from hypothesis import strategies as st

from submission.modules import LOCAL
from submission.runtime.script.importer import full_length
from submission.shortening import (
    for_types_only,
    half_indented,
    joined_marks,
    short_docstrings,
    shortened,
    without_comments,
    without_future,
    without_imports,
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
    # +6

    pixels: int = 0  # a comment

    def add(self, number):
        # +5
        text = """not a

        docstring"""
        return self.pixels + number, text

    async def short(self): """Short."""


class Quoted:
    # +5

    number = 1


def public():
    # +1
    return 1
'''


def code(text, *, columns=True):
    """The syntax tree with the place where each node begins, without useless strings, types and imports."""
    tree = Untyped().visit(ast.parse(text))
    tree.body = [item for item in tree.body if not for_types_only(item)]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [item for item in body if not is_string(item)]
        if isinstance(node, ast.ImportFrom) and node.module in {"typing", "collections.abc", "pathlib"}:
            node.names = [
                (name.name, name.asname) for name in node.names if (name.asname or name.name) in used
            ]
        gone = {"end_lineno", "end_col_offset", *([] if columns else ["col_offset"])}
        for end in gone & set(node._attributes):
            setattr(node, end, None)
    tree.body = [item for item in tree.body if not isinstance(item, ast.ImportFrom) or item.names]
    return ast.dump(tree, include_attributes=True)


class Untyped(ast.NodeTransformer):
    """Leaves out the types of arguments and results, and of variables in functions."""

    def __init__(self):
        self.inside = [False]

    def visit_FunctionDef(self, node):
        return self.scope(node, inside=True)

    def visit_ClassDef(self, node):
        return self.scope(node, inside=False)

    def scope(self, node, inside):
        if inside:
            node.returns = None
        self.inside.append(inside)
        self.generic_visit(node)
        self.inside.pop()
        return node

    def visit_AsyncFunctionDef(self, node):
        return self.scope(node, inside=True)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        if not self.inside[-1] or node.value is None:
            return node
        plain = ast.Assign([node.target], node.value)
        return ast.copy_location(plain, node)


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
    """Its docstring is all it has, e.g. 3 or 4 words. So its first sentence stays.

    Not more.
    """


def _beside(): "Do it."; return 1


class _Options:
    """Do it. Well.

    More.
    """

    field: int = field(metadata=option("it"))


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
    """Its docstring is all it has, e.g. 3 or 4 words."""
    # +3


def _beside(): "Do it."; return 1


class _Options:
    """Do it."""
    # +3

    field: int = field(metadata=option("it"))


class _Hidden:
    # +4

    field: int
    # +1

    def method(self):
        # +1
        return self.field

    def only(self):
        """Return nothing."""
'''


def test_functions_classes_and_constants_lose_their_docstrings():
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
        self.z: dict[str, int] = {}
        later: int

        class B:
            x: int = 3

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
        y = 2
        self.z = {}
        later: int

        class B:
            x: int = 3

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


IMPORTING = """import typing
from collections.abc import (
    Iterator,
    Mapping,
)
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal as L, NamedTuple

from kit.ensemble import Ensemble

if TYPE_CHECKING:
    import torch  # a comment

    from kit.models import Network


class A(NamedTuple):
    x: L["a"]


def f(a: Any, b: Path, c: Network) -> Iterator[int]:
    return isinstance(a, Mapping)
"""


def test_imports_that_only_types_needed_go():
    short = without_imports(without_types(IMPORTING))
    assert short.count("\n") == IMPORTING.count("\n")
    assert "TYPE_CHECKING" not in short
    assert [line for line in short.splitlines() if "import" in line] == [
        "import typing",
        "from collections.abc import Mapping",
        "from typing import Literal as L, NamedTuple",
        "from kit.ensemble import Ensemble",
    ]


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
        bare = without_imports(without_types(short))
        assert half_indented(joined_marks(bare)) == shortened(path.read_text())
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
