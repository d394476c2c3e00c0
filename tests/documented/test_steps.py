"""How a documented command becomes the words that run."""

import json

import pytest

from tests.documented.commands import code_of, commands_of
from tests.documented.walks import Step, Walk, walk

PAGE = """
Run `nox -s demo`, or

    python -m nox -s upload -- --bundle dist/wheels     # it is read back
    python -m kit score [--json] && python predict.py

```text
.nox/kit-cpython-311/bin/python docs/train.py --out DIR
```
"""


def test_commands_are_found_in_spans_and_in_both_kinds_of_blocks():
    assert {" ".join(words) for words in commands_of(code_of(PAGE))} == {
        "nox -s demo",
        "nox -s upload -- --bundle dist/wheels",
        "python -m kit score --json",
        "python predict.py",
        "python docs/train.py --out DIR",
    }


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (Step("nox -s demo", ""), "nox -s demo"),
        (Step("nox -s demo", "", more=("--tiny",)), "nox -s demo -- --tiny"),
        (Step("nox -s rehearse -- kidney", "", more=("--seed", "7")), "nox -s rehearse -- kidney --seed 7"),
        (Step("python -m kit show", "", more=("--json",)), "python -m kit show --json"),
        (
            Step(
                "python a.py --from DIR --to DIR > b",
                "",
                {"--to DIR": "there", "DIR": "here", ">": (), "b": ()},
            ),
            "python a.py --from here --to there",
        ),
        (
            Step("python -m kit ... DIR", "", {"...": ("score", "--json"), "DIR": "$PLACE"}),
            "python -m kit score --json x",
        ),
    ],
)
def test_words_are_replaced_and_added(step, words):
    assert step.words({"PLACE": "x"}) == words.split()


def test_steps_of_the_same_words_are_one_run(tmp_path):
    (tmp_path / "clock.py").write_text("import time\nprint(time.monotonic_ns())\n")
    clock = str(tmp_path / "clock.py")
    steps = (
        Step("python FILE", "", {"FILE": clock}),
        Step("python clock.py", "", {"clock.py": clock}),
        Step("python clock.py --again", "", {"clock.py": clock}),
        Step("python clock.py", "", {"clock.py": clock}, with_service=True),
    )
    walk(Walk("clocks", steps), tmp_path)
    first, same, other, with_service = (end[1] for end in json.loads((tmp_path / "ended.json").read_text()))
    assert first == same
    assert len({first, other, with_service}) == 3
