"""The mean distance of grades, as a metric in a file.

Kaggle's metric notebooks have the same function. Both tables have the columns of the submission and the same
rows; `solution` has the truth in its cells.
"""

import pandas as pd

GRADES = {"none": 0, "mild": 1, "severe": 2}


class ParticipantVisibleError(Exception):
    """What Kaggle shows to whoever submits."""


def score(solution: pd.DataFrame, submission: pd.DataFrame, row_id_column_name: str) -> float:
    """Return the mean of |true grade - predicted grade|; lower is better."""
    both = solution.merge(submission, on=row_id_column_name, suffixes=("_true", "_found"))
    if len(both) != len(solution):
        raise ParticipantVisibleError("a row is missing")
    true, found = both["grade_true"].map(GRADES), both["grade_found"].map(GRADES)
    return float((true - found).abs().mean())
