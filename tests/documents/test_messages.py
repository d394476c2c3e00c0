"""The catalogue of messages: every form in which the code makes one is found, with its remedy."""

import ast
import builtins
import html
import re
from pathlib import Path

import pytest

from documents import messages, sources, verdicts
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
            ("late", "wait!", "error"),
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
            "def f(told):\n    told.note('a blank mask', 'a.png')\n",
            ("a blank mask", "", "note"),
        ),
        (
            "class A:\n  def f(self):\n    self._remarks.alarm('no mask', 'a.png', 'draw one')\n",
            ("no mask", "draw one", "alarm"),
        ),
        (
            "def f(session, names):\n    session.error(f'none of {names}: name one')\n",
            ("none of <names>", "name one", "error"),
        ),
        (
            "def f(console, n):\n    console().print(f'{n} images are left out')\n",
            ("<n> images are left out", "", "line"),
        ),
        (
            "def f(own):\n    own.notes.append('its channels come first')\n",
            ("its channels come first", "", "note"),
        ),
        (
            "NO_SIZE = 'Nobody said how large the hidden test set is.'\n",
            ("Nobody said how large the hidden test set is.", "", "line"),
        ),
        (
            "KINDS = {1: 'a number', 2: 'a text'}\ndef f(k):\n    KitError('odd', fix=f'write {KINDS[k]}')\n",
            ("odd", "write (a number|a text)", "error"),
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


def test_a_name_that_is_given_a_value_twice_has_the_one_that_it_has_there():
    text = (
        "def f(report, full, same):\n"
        "    if full:\n"
        "        text = 'all is mask'\n"
        "        report.alarm(text, 'a', 'look at the threshold')\n"
        "    if same:\n"
        "        text = 'all scores are equal'\n"
        "        report.alarm(text, 'a', 'were they lost?')\n"
    )
    assert of(text) == [
        ("all is mask", "look at the threshold", "alarm"),
        ("all scores are equal", "were they lost?", "alarm"),
    ]
    branches = (
        "def f(report, n):\n"
        "    what = 'one'\n"
        "    if n:\n"
        "        what = 'many'\n"
        "    report.alarm(what, 'a', 'look')\n"
    )
    assert of(branches) == [("many", "look", "alarm"), ("one", "look", "alarm")]


def test_each_row_of_a_loop_s_table_is_a_message_with_its_own_remedy():
    text = (
        "def f(report):\n"
        "    for all_, one, many, fix in ((a, 'id is', 'ids are', 'add'), (b, 'it is', 'they are', 'no')):\n"
        "        what = one if len(all_) == 1 else many\n"
        "        report.error(f'{len(all_)} {what} wrong', 'a', fix)\n"
    )
    assert of(text) == [
        ("<number> (id is|ids are) wrong", "add", "error"),
        ("<number> (it is|they are) wrong", "no", "error"),
    ]


def test_a_word_of_a_loop_s_table_may_be_added_to_a_text():
    text = (
        "def f(report):\n"
        "    for word, fix in (('late', 'wait'), ('early', 'hurry')):\n"
        "        report.error('the train is ' + word, 'a', fix)\n"
    )
    assert of(text) == [("the train is early", "hurry", "error"), ("the train is late", "wait", "error")]


def test_reasons_of_a_verdict_and_the_parser_s_messages_are_found():
    verdict = (
        "def f(a):\n    found = [f'{a} images were lost'] if a else []\n"
        "    found.append('no rung was finished')\n    found.append(a)\n"
    )
    assert of(verdict, messages.VERDICTS[0]) == [
        ("<a> images were lost", "", "verdict"),
        ("no rung was finished", "", "verdict"),
    ]
    parser = (
        "class Parser:\n    def f(self, word):\n        self.error(f'there is no option {word}')\n"
        "        raise argparse.ArgumentError(word, f'invalid choice: {word}')\n"
    )
    assert [item[0] for item in of(parser, messages.PARSER)] == [
        "invalid choice: <word>",
        "there is no option <word>",
    ]


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
        "kit.command_line",
    }
    assert silent <= handed_on, "no message of these modules was found"
    assert len(found) > sum(calls.values())


_SAYING = frozenset({"error", "alarm", "note", "print", "say", "append", "ArgumentError", "KitError"})


def literal_pieces(source):
    """Yield each literal piece of four words or more that a call gives to something that says it."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = ast.unparse(getattr(node.func, "value", ast.Constant("")))
        if name == "append" and not owner.endswith("notes"):
            continue
        own = isinstance(node.func, ast.Name) and name.endswith("Error") and not hasattr(builtins, name)
        if name in _SAYING or own:
            for argument in node.args[:2]:
                # A piece inside a nested call is that call's own: a key, a format, a name.
                if isinstance(argument, ast.Constant | ast.JoinedStr):
                    for piece in argument.values if isinstance(argument, ast.JoinedStr) else [argument]:
                        if isinstance(piece, ast.Constant) and isinstance(piece.value, str):
                            text = " ".join(piece.value.split()).rstrip(":")
                            if len(re.findall(r"[A-Za-z]{2,}", text)) >= 4:
                                yield text


def test_every_sentence_that_the_code_says_stands_on_the_page(code):
    page = " ".join(html.unescape((ROOT / "docs/errors.md").read_text()).replace("\\", "").split())
    missing = {
        (source.name, piece)
        for source in code.values()
        for piece in literal_pieces(source)
        if not all(part in page for part in piece.split(": "))
    }
    assert missing == {
        ("bundle.native.compile_program", "--order and --out are needed, because this file holds no order")
    }, "that is the program of a kernel, which people do not call"


@pytest.mark.parametrize(
    "words",
    [
        "the first rung needs room for a machine",
        "NOT SAFE to send",
        "not safe to submit",
        "no competition is prepared yet",
        "say which competition",
        "there is no option",
        "invalid choice",
        "What a rung takes cannot be told",
    ],
)
def test_verdicts_sessions_and_the_parser_are_on_the_page(words):
    assert words in html.unescape((ROOT / "docs/errors.md").read_text())


def test_every_verdict_has_a_remedy_and_every_remedy_a_verdict(found):
    reasons = [message.problem for message in found if message.level == "verdict"]
    used = {next(piece for piece, _ in verdicts.REMEDIES if piece in reason) for reason in reasons}
    assert used == {piece for piece, _ in verdicts.REMEDIES}
    with pytest.raises(LookupError):
        verdicts.remedy("a verdict that nobody gives")


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
