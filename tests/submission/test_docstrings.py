import ast

from submission.docstrings import first_paragraphs
from submission.runtime.script.importer import full_length
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
# ... 3 more lines


class Area:
    """An area
    of pixels."""
    # ... 4 more lines

    pixels: int = 0  # a comment

    def add(self, number):
        """Add "pixels" """
        # ... 4 more lines
        text = """not a

        docstring"""
        return self.pixels + number, text

    async def short(self): """Short."""
'''


def code(text):
    """The syntax tree with the place where each node begins, and without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node):
            node.body[0].value.value = None
        for end in {"end_lineno", "end_col_offset"} & set(node._attributes):
            setattr(node, end, None)
    return ast.dump(tree, include_attributes=True)


def test_first_paragraphs_and_comments_stay():
    assert first_paragraphs(SOURCE) == EXPECTED


def test_the_code_of_every_module_gets_its_lines_back():
    paths = [*(ROOT / "kit").rglob("*.py"), *(ROOT / "submission" / "runtime").rglob("*.py")]
    assert len(paths) > 100
    for path in paths:
        text = path.read_text()
        short = first_paragraphs(text)
        assert code(full_length(short)) == code(text), path
        assert first_paragraphs(short) == short
        compile(short, str(path), "exec")
