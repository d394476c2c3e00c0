"""The catalogue of messages: every form in which the code makes one is found, with its remedy."""

import ast
from pathlib import Path

import pytest

from documents import messages, sources
from documents.messages import Message
from documents.sources import Source
from documents.steps import STEPS, step_of

ROOT = Path(__file__).parents[2]
WITHOUT_FIX = {
    "submission.runtime.inputs.install": "of one installer; the error after the last one has the fix",
    "submission.runtime.inputs.known_images": "says why there is no forecast; the submission stands",
    "submission.runtime.inputs.preparation": "a fault of the program, with its trace",
    "submission.runtime.work.dry_run": "says why there is no forecast; the submission stands",
}
"""Modules whose errors need no remedy, and why."""


@pytest.fixture(scope="module")
def code():
    """The project's own sources; to read and look through them takes some seconds."""
    return sources.read(ROOT)


@pytest.fixture(scope="module")
def found(code):
    return messages.find(code)


def of(text, name="kit.example"):
    """What is found in the text of one module."""
    read = {name: Source(name, ast.parse(text))}
    return [(message.problem, message.fix, message.level) for message in messages.find(read)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "def f(n):\n    raise KitError(f'no {n!r} here', fix='name another')\n",
            ("no <n> here", "name another", "error"),
        ),
        (
            'def f(a):\n    raise KitError(f\'{len(a)} file{"s" if a else ""}\', fix=None)\n',
            ("<number> file[s]", "", "error"),
        ),
        (
            "def f(a):\n    raise KitError('is ' + ('in' if a else 'out'), fix='x')\n",
            ("is (in|out)", "x", "error"),
        ),
        (
            "def f(a):\n    fix = 'wait'\n    raise KitError('late', where=a, fix=f'{fix}!')\n",
            ("late", "<fix>!", "error"),
        ),
        ("_FIX = 'wait'\ndef f():\n    raise KitError('late', fix=_FIX)\n", ("late", "wait", "error")),
        ("_FIX = 'wait'\ndef f():\n    raise KitError('late', fix=f'{_FIX}!')\n", ("late", "wait!", "error")),
        (
            "def no(problem, fix):\n    KitError(problem, fix=fix)\ndef f():\n    no('late', 'wait')\n",
            ("late", "wait", "error"),
        ),
        (
            "class L(KitError):\n  def __init__(self, n):\n    super().__init__(f'{n} s', fix='wait')\n",
            ("<n> s", "wait", "error"),
        ),
        (
            "class LateError(KitError):\n    pass\ndef f():\n    raise LateError('late', fix='wait')\n",
            ("late", "wait", "error"),
        ),
        (
            "def f(report):\n    report.error('no mask', 'a.png', 'draw one')\n",
            ("no mask", "draw one", "error"),
        ),
        (
            "def f(report):\n    report.alarm('no mask', 'a.png', fix='draw one')\n",
            ("no mask", "draw one", "alarm"),
        ),
        (
            "class BrokenError(ValueError):\n    pass\ndef f():\n    raise BrokenError('cut off')\n",
            ("cut off", "", "detail"),
        ),
    ],
)
def test_a_message_is_found_in_each_form(text, expected):
    assert of(text) == [expected]


def test_each_text_that_a_variable_can_have_is_a_message_with_its_own_remedy():
    text = (
        "def f(a):\n"
        "    problem, fix = 'too large', 'cut it'\n"
        "    if a:\n"
        "        problem, fix = 'too small', 'draw again'\n"
        "    raise KitError(problem, fix=fix)\n"
    )
    assert of(text) == [("too large", "cut it", "error"), ("too small", "draw again", "error")]


@pytest.mark.parametrize(
    "text",
    [
        "def f(error):\n    raise KitError(error.problem, fix=error.fix)\n",
        "def f(parser):\n    parser.error('no option')\n",
        "def f():\n    raise ValueError('of the program')\n",
    ],
)
def test_what_was_made_elsewhere_is_no_message_of_this_module(text):
    assert of(text) == []


def test_a_line_of_the_log_and_the_end_of_a_process_are_messages():
    line = "def lost(n: int) -> str:\n    '''A worker died.'''\n    return f'{n} died'\nGONE = 'it is gone'\n"
    name = messages.WORDINGS[0]
    assert messages.find({name: Source(name, ast.parse(line))}) == [
        Message(name, "<n> died", "", "line", "A worker died."),
        Message(name, "it is gone", "", "line", ""),
    ]
    assert of("def f():\n    return 'was killed', 'more memory'\n", messages.ENDS[0]) == [
        ("was killed", "more memory", "error")
    ]


def test_the_cause_is_what_the_function_documents():
    text = (
        "def f(path):\n    '''Read.\n\n    Args:\n        path: of it.\n\n    Raises:\n"
        "        KitError: the file is missing\n            or empty.\n        OSError: no.\n    '''\n"
        "    raise KitError('gone', fix='look')\n"
    )
    [message] = messages.find({"kit.x": Source("kit.x", ast.parse(text))})
    assert message.cause == "the file is missing or empty"


def test_every_error_says_what_to_do(found):
    lacking = messages.without_fix(found)
    assert [message for message in lacking if message.module not in WITHOUT_FIX] == []
    assert {message.module for message in lacking} == set(WITHOUT_FIX), "a reason that nothing needs any more"


def test_nearly_every_error_of_the_code_is_in_the_catalogue(code, found):
    """A text that is made elsewhere has no entry of its own; the count says if a form is missed."""
    calls = {
        source.name: sum(
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "KitError"
            for node in ast.walk(source.tree)
        )
        for source in code.values()
    }
    there = {message.module for message in found}
    silent = {name for name, count in calls.items() if count and name not in there}
    # From other processes, and argparse's.
    handed_on = {
        "kit.local.pretrained.limited",
        "submission.runtime.work.workers",
        "kit.local.parser",
    }
    assert silent <= handed_on, "no message of these modules was found"
    assert len(found) > sum(calls.values())


def test_every_message_has_a_step_and_every_step_a_message(found):
    assert {step_of(message.module).title for message in found} == {step.title for step in STEPS}
    with pytest.raises(LookupError):
        step_of("elsewhere")


def test_the_longest_name_decides_the_step():
    assert step_of("bundle.upload.verify").title == "Kaggle's side"
    assert step_of("bundle.gate").title == "The bundle"
    assert step_of("kit.artefacts").title == "Any command"


def test_texts_are_followed_into_functions_values_and_defaults():
    assert of("def f(a):\n    if (fix := 'wait'):\n        raise KitError('late', fix=fix)\n") == [
        ("late", "wait", "error")
    ]
    text = (
        "def no(problem, fix='wait'):\n    KitError(problem, fix=fix)\n"
        "def f():\n    no(problem='late')\n    no('early', fix='hurry')\n"
    )
    assert {item[0] for item in of(text)} == {"late", "early"}
    name = messages.WORDINGS[0]
    line = "def same(a: str) -> str:\n    return a\ndef other(a: int) -> int:\n    return a\n"
    assert messages.find({name: Source(name, ast.parse(line))}) == []
