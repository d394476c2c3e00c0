"""A metric in a Python file, as Kaggle's own metric notebooks have it.

The file defines `score(solution, submission, row_id_column_name) -> float`. Both tables are DataFrames of
pandas with the columns of the submission and the same images in the same order; the solution has the truth in
its cells, and the columns that `metric.columns` names.
"""

from __future__ import annotations

import linecache
import math
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from kit.competitions import row_forms
from kit.competitions.competition import Competition
from kit.errors import KitError
from kit.local.competitions.true_values import TrueValues
from kit.predictions import Prediction

_DEFINED = "define score(solution, submission, row_id_column_name) -> float, as Kaggle's metric notebooks do"


def score_by_file(
    competition: Competition, truths: Mapping[str, Prediction], predictions: Mapping[str, Prediction]
) -> float:
    """Return what the competition's metric file says of some predictions.

    Args:
        competition: whose definition holds the text of the file.
        truths: of at least one image.
        predictions: by id; a missing one is what `Competition.empty` returns.

    Raises:
        KitError: the file has a fault (names its line), or returns no finite number.
    """
    metric = competition.format.metric
    rows: list[dict[str, str]] = []
    solution: list[dict[str, str]] = []
    for image, truth in truths.items():
        size = (getattr(truth, "height", 0), getattr(truth, "width", 0))
        solution += _with_more(competition, truth, competition.rows(image, truth))
        rows += competition.rows(image, predictions.get(image) or competition.empty(*size))
    value = run(
        metric.source,
        metric.file,
        _table(competition, solution, metric.columns),
        _table(competition, rows),
        competition.columns[0],
    )
    if isinstance(value, bool) or not _is_number(value) or not math.isfinite(float(value)):
        raise KitError(
            f"score returned {str(value)[:80]!r}, not a finite number",
            where=metric.file,
            fix="return a float",
        )
    return float(value)


def run(source: str, file: str, *arguments: object) -> Any:
    """Return what the function `score` of a file's text returns.

    Args:
        source: the text.
        file: its name, for messages.
        arguments: of the function.

    Raises:
        KitError: the text is no Python, has no such function, or raised an error; names file and line.
    """
    # The text may come from an ensemble, without its file: tracebacks show lines of it all the same.
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space: dict[str, Any] = {"__name__": "metric", "__file__": file}
    try:
        exec(compile(source, file, "exec"), space)  # noqa: S102 - the user's own metric is run on purpose
        if callable(score := space.get("score")):
            return score(*arguments)
    except SyntaxError as error:
        raise KitError(
            f"not Python: {error.msg}", where=f"{file}:{error.lineno}", fix="correct it"
        ) from error
    except Exception as error:
        raise _told(error, file) from error
    raise KitError("there is no function score", where=file, fix=_DEFINED)


def _told(error: Exception, file: str) -> KitError:
    """Return an error with the last line of the file that it came through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"{file}:{lines[-1]}" if lines else file
    if isinstance(error, ModuleNotFoundError):
        return KitError(
            f"the metric needs {error.name}, which is not installed", where=where, fix=f"install {error.name}"
        )
    fix = f"correct the file, or what it complains about; it has to {_DEFINED}"
    return KitError(f"the metric raised {type(error).__name__}: {error}", where=where, fix=fix)


def _with_more(
    competition: Competition, truth: Prediction, rows: Sequence[Mapping[str, str]]
) -> list[dict[str, str]]:
    """Return the rows of an image's truth with the cells that `metric.columns` names."""
    if not isinstance(truth, TrueValues):
        return [dict(row) for row in rows]
    targets = competition.format.targets  # each has a row, or all share one
    return [{**row, **truth.more[name]} for name, row in zip(targets, rows, strict=False)]


def _table(competition: Competition, rows: Sequence[Mapping[str, str]], more: Sequence[str] = ()) -> Any:
    """Return rows as a DataFrame; columns of numbers are numbers.

    Args:
        competition: tells the columns.
        rows: column -> cell.
        more: further columns, which become numbers where all their cells are some.
    """
    import pandas as pd

    form, definition = competition.format.submission, competition.format
    table = pd.DataFrame([*rows], columns=[*competition.columns, *more])
    for column in more:
        numbers = pd.to_numeric(table[column], errors="coerce")
        if not numbers.isna().any():
            table[column] = numbers
    for column in (form.height, form.width, *row_forms.numbers(definition)):
        if column:
            table[column] = pd.to_numeric(table[column])
    return table


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__")
