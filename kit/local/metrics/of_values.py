"""Metrics of numbers and words, computed by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kit.competitions.definition import Definition
from kit.errors import KitError
from kit.predictions import Values

Numbers = NDArray[np.float64]
"""(images, targets)."""
_LEAST = 1e-15
"""Probabilities are cut off at this distance from 0 and 1, so that a sure error has a finite loss."""
_HALF = 0.5
"""From here on a number means yes, for metrics of decisions."""


def score_values(
    definition: Definition, truths: Mapping[str, Values], predictions: Mapping[str, Values]
) -> float:
    """Return the competition's metric over all images of `truths`.

    Args:
        definition: names the metric and its settings.
        truths: of at least one image.
        predictions: of all of them.

    Raises:
        KitError: an image has no prediction, or the metric is not defined for these values.
    """
    if missing := [image for image in truths if image not in predictions]:
        raise KitError(f"image {missing[0]} has no prediction", fix="write a row for every image")
    names = definition.targets
    true = [[truths[image].values[name] for name in names] for image in truths]
    found = [[predictions[image].values[name] for name in names] for image in truths]
    if definition.words:
        return _of_words(definition, true, found)
    return of_numbers(definition, np.array(true, np.float64), np.array(found, np.float64))


def of_numbers(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    """Return the metric of numbers.

    Args:
        definition: as in `score_values`.
        true_NT: (images, targets).
        found_NT: the same for predictions.

    Raises:
        KitError: as `score_values`.
    """
    name = definition.metric.name
    ways: dict[str, Callable[[Definition, Numbers, Numbers], float]] = {
        "log loss": _log_loss,
        "multi-class log loss": _multi_class_log_loss,
        "AUC": _auc,
        "accuracy": _accuracy,
        "quadratic kappa": _kappa,
        "RMSE": lambda _, true_NT, found_NT: float(np.sqrt(np.mean((true_NT - found_NT) ** 2))),
        "MAE": lambda _, true_NT, found_NT: float(np.mean(np.abs(true_NT - found_NT))),
        "F-beta": _decided,
    }
    return ways[str(name)](definition, true_NT, found_NT)


def _log_loss(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    """Return the weighted mean over all cells of -(t log p + (1 - t) log(1 - p))."""
    # Weights {"any": 2} of six targets: "any" has 2 of 7 parts of the mean, each other one 1 of 7.
    from sklearn.metrics import log_loss

    weights = np.array([definition.metric.weights.get(name, 1.0) for name in definition.targets])
    _require_decisions(definition, true_NT)
    probability = np.clip(found_NT.ravel(), _LEAST, 1 - _LEAST)
    of_cell = np.tile(weights, len(true_NT))
    return float(log_loss(true_NT.ravel(), probability, sample_weight=of_cell, labels=[0, 1]))


def _multi_class_log_loss(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    """Return the mean over images of -log p of the true class."""
    _require_one_class(definition, true_NT)
    # Rows are divided by their sum, as Kaggle does: the probabilities of an image add up to 1.
    cut_NT = np.clip(found_NT, _LEAST, 1 - _LEAST)
    shares_NT = cut_NT / cut_NT.sum(axis=1, keepdims=True)
    return float(-np.mean((true_NT * np.log(shares_NT)).sum(axis=1)))


def _auc(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    """Return the mean over targets of the area under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    for name, column in zip(definition.targets, true_NT.T, strict=True):
        if len(np.unique(column)) != 2:
            raise KitError(
                f"AUC of {name} is not defined: its truth has the values {np.unique(column).tolist()[:5]}",
                fix="it needs images with 0 and images with 1",
            )
    _require_decisions(definition, true_NT)
    return float(np.mean([roc_auc_score(t, f) for t, f in zip(true_NT.T, found_NT.T, strict=True)]))


def _accuracy(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    """Return the share of images of the right class: the largest of several targets, or the only number."""
    several = true_NT.shape[1] > 1
    if several:
        _require_one_class(definition, true_NT)
    else:
        _require_whole(definition, true_NT)
    true, found = (one.argmax(axis=1) if several else np.rint(one[:, 0]) for one in (true_NT, found_NT))
    return float(np.mean(true == found))


def _kappa(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    _require_whole(definition, true_NT)
    true, found = (np.rint(one[:, 0]).astype(np.int64) for one in (true_NT, found_NT))
    return _quadratic(true.tolist(), found.tolist())


def _quadratic(true: Sequence[int], found: Sequence[int]) -> float:
    """Return kappa; 1 where all images have the same rank in both, for which its formula is 0 / 0."""
    from sklearn.metrics import cohen_kappa_score

    if len({*true, *found}) == 1:
        return 1.0
    # Distances are those of the numbers, also where no image has a number between them.
    ranks = range(min(*true, *found), 1 + max(*true, *found))
    return float(cohen_kappa_score(true, found, weights="quadratic", labels=ranks))


def _require_decisions(definition: Definition, true_NT: Numbers) -> None:
    """Raise an error for truth other than 0 and 1: it would count as yes from 0.5 on, or as a probability."""
    if ((true_NT != 0) & (true_NT != 1)).any():
        row, place = np.argwhere((true_NT != 0) & (true_NT != 1))[0]
        raise KitError(
            f"truth of {definition.metric.name} is neither 0 nor 1: {definition.targets[place]} is "
            f"{true_NT[row, place]:g}",
            fix="name the columns with classes as targets; numbers of classes are words: "
            "targets = ['...'] and classes = ['0', '1', '2']",
        )


def _require_one_class(definition: Definition, true_NT: Numbers) -> None:
    """Raise an error unless each image has one target of 1: others would be lost."""
    _require_decisions(definition, true_NT)
    if (wrong := np.flatnonzero(true_NT.sum(axis=1) != 1)).size:
        raise KitError(
            f"truth of {definition.metric.name} has {true_NT[wrong[0]].sum():g} classes for an image",
            fix="this metric is for one class an image: use log loss, AUC or F-beta, or a metric of your own",
        )


def _require_whole(definition: Definition, true_NT: Numbers) -> None:
    """Raise an error for truth that is no whole number."""
    if (wrong := true_NT != np.rint(true_NT)).any():
        raise KitError(
            f"truth of {definition.metric.name} is {true_NT[wrong][0]:g}, no whole number",
            fix="it compares numbers of classes; use RMSE or MAE for measured numbers",
        )


def _decided(definition: Definition, true_NT: Numbers, found_NT: Numbers) -> float:
    _require_decisions(definition, true_NT)
    true, found = ((one >= _HALF).astype(np.int64) for one in (true_NT, found_NT))
    return _f_beta(definition, true, found)


def _f_beta(definition: Definition, true_NT: NDArray[np.int64], found_NT: NDArray[np.int64]) -> float:
    from sklearn.metrics import fbeta_score

    # A single column of 0 and 1 is one class, and not two: its F-beta is that of 1.
    average = definition.metric.average
    if true_NT.shape[1] == 1:
        return float(
            fbeta_score(true_NT[:, 0], found_NT[:, 0], beta=definition.metric.beta, zero_division=0.0)
        )
    none = 1.0 if average == "samples" else 0.0  # an image without any class, of which none was predicted
    return float(
        fbeta_score(true_NT, found_NT, beta=definition.metric.beta, average=average, zero_division=none)
    )


def _of_words(
    definition: Definition, true: Sequence[Sequence[object]], found: Sequence[Sequence[object]]
) -> float:
    """Return the metric of words; a cell may hold several, with blanks between them."""
    true_cells, found_cells = ([str(cell) for row in table for cell in row] for table in (true, found))
    if definition.metric.name == "accuracy":
        same = (sorted(a.split()) == sorted(b.split()) for a, b in zip(true_cells, found_cells, strict=True))
        return sum(same) / len(true_cells)
    if definition.metric.name == "quadratic kappa":
        places = {name: number for number, name in enumerate(definition.classes)}
        ranks, guesses = ([places[cell] for cell in cells] for cells in (true_cells, found_cells))
        return _quadratic(ranks, guesses)
    marks, guessed = (
        np.array([[_holds(cell, name) for name in definition.classes] for cell in cells], np.int64)
        for cells in (true_cells, found_cells)
    )
    return _f_beta(definition, marks, guessed)


def _holds(cell: str, name: str) -> bool:
    return cell == name or name in cell.split()
