"""Write the definition as TOML with the reason of each value, and a test that holds it against the folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.local.new_competition.guesses import Guess

_WIDTH = 100
_TEST = """\
# Holds {toml} against the competition's folder: run it after every change of the file.

import os
from pathlib import Path

import pytest

from kit import competitions
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission

TOML = Path(__file__).with_name({toml!r})
DATA = Path(os.environ.get("COMPETITION_DATA", {data!r}))


@pytest.fixture(scope="module")
def labelled():
    return LabelledData(competitions.get(TOML), DATA)


def test_the_folder_is_as_the_definition_says(labelled):
    report = check(labelled)
    assert report.ok, "\\n".join(map(str, report.findings))


def test_every_image_to_predict_is_there(labelled):
    competition = labelled.competition
    for image in competition.test_ids(DATA):
        assert competition.image_path(DATA, image, "test").exists(), image


def test_an_image_reads_as_pixels_of_its_size(labelled):
    competition, image = labelled.competition, labelled.train_ids()[0]
    with competition.reading.open(competition.image_path(DATA, image, "train")) as opened:
        assert opened.read_band(0, min(8, opened.height)).shape[1:] == (opened.width, 3)


def test_truth_written_as_a_submission_is_valid(labelled, tmp_path):
    competition, file = labelled.competition, tmp_path / labelled.competition.format.submission.file
    truth = labelled.truth(labelled.train_ids()[:5])
    rows = [row for image, mask in truth.items() for row in competition.rows(image, mask)]
    write_submission(file, competition.columns, rows)
    sizes = {{image: competition.size_of(DATA, image) for image in truth}}
    report = competition.validate(file, list(truth), sizes)
    assert report.ok, "\\n".join(map(str, report.findings))
"""


def toml_of(known: Mapping[str, Guess]) -> str:
    """Return the text of a definition; every value has a comment that says where it comes from.

    Args:
        known: key with dots -> value and reason.
    """
    lines = ["# Written by `python -m kit new-competition`. Each comment says what a value was guessed from."]
    tables: dict[str, list[tuple[str, Guess]]] = {"": []}
    for key, guess in known.items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, []).append((name, guess))
    for table, entries in tables.items():
        if table:
            lines += ["", f"[{table}]"]
        for name, guess in entries:
            line = f"{name} = {value_text(guess.value)}"
            if len(line) + len(guess.why) + 4 > _WIDTH:
                lines += [f"# {guess.why}:", line]
            else:
                lines.append(f"{line}  # {guess.why}")
    return "\n".join(lines) + "\n"


def value_text(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {value_text(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(value_text, value)) + "]"
    return json.dumps(str(value), ensure_ascii=False)  # TOML's basic strings have JSON's escapes


def test_text(toml: Path, data: Path) -> str:
    """Return a pytest file that holds a definition against its folder.

    Args:
        toml: the definition; the test lies beside it.
        data: the competition's folder; COMPETITION_DATA names another one.
    """
    return _TEST.format(toml=toml.name, data=str(data.resolve()))
