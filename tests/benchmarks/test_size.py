"""What the table of predict.py's size says is left out."""

from benchmarks.size import _STEPS
from submission.modules import source_root
from submission.shortening import shortened


def test_the_steps_are_those_of_the_shortening():
    for path in sorted((source_root() / "kit" / "plan").glob("*.py"))[:8]:
        text = path.read_text()
        short = text
        for step in _STEPS.values():
            short = step(short)
        assert short == shortened(text), path.name
