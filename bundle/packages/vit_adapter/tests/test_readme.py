"""The README's example runs as a reader would run it, and its table names what there is."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from vit_adapter import zoo


@pytest.fixture(scope="module")
def readme():
    """Of the source beside these tests, else of the installed wheel."""
    source = Path(__file__).parent.parent / "README.md"
    return source.read_text() if source.is_file() else metadata.metadata("vit-adapter").get_payload()


def test_its_examples_train_and_detect(readme, tmp_path):
    examples = re.findall(r"^```python\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    script = tmp_path / "example.py"
    script.write_text("\n".join(examples))
    # In a process of its own: a clean registry, and the warnings of mmcv's import are not ours.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loss = float(re.search(r"^loss ([\d.]+)$", done.stdout, re.MULTILINE)[1])
    assert 0 < loss < 100
    assert re.search(r"^\d+ boxes with masks of 120 x 150 pixels$", done.stdout, re.MULTILINE)
    assert re.search(
        r"^ViT weights: \d+ loaded, 0 reshaped, 0 missing, 0 unexpected", done.stdout, re.MULTILINE
    )


def test_every_model_dictionary_it_names_exists(readme):
    calls = set(re.findall(r"`((?:htcpp|mask_rcnn|cascade)\w*\([^`]*\))`", readme))
    assert len(calls) >= 8
    for call in calls:
        name, arguments = call.rstrip(")").split("(", 1)
        words = [word.strip() for word in arguments.split(",") if word.strip()]
        positional = [word.strip('"') for word in words if "=" not in word]
        named = {word.split("=")[0]: {"False": False}[word.split("=")[1]] for word in words if "=" in word}
        assert "backbone" in getattr(zoo, name)(*positional, **named), call
