"""Competitions with numbers or words about images: classification, regression, targets of tables."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence

from kit.competitions import row_forms
from kit.competitions.many_rows import ManyRows
from kit.competitions.report import Report
from kit.competitions.tables import Row
from kit.errors import KitError
from kit.predictions import Prediction, Values

_RANKS = ("accuracy", "quadratic kappa")
"""Metrics of whole numbers, where there is one target."""
_PROBABILITIES = ("log loss", "multi-class log loss")
"""Metrics of probabilities."""


class ValuesCompetition(ManyRows):
    """What a TOML file of the kind "values" describes: a column or a row for each target."""

    def empty(self, height: int, width: int) -> Values:
        """Return zeros, or the first class; the size of the image does not matter."""
        del height, width
        nothing = self.format.classes[0] if self.format.words else 0.0
        return Values(dict.fromkeys(self.format.targets, nothing))

    def rows(self, image_id: str, prediction: Prediction) -> list[dict[str, str]]:
        """Return a row for each target, or one with a column for each; numbers have ten digits.

        For a metric that compares whole numbers they are rounded: Kaggle's would refuse or misjudge others.
        """
        if not isinstance(prediction, Values):
            raise TypeError(f"{self.name} rows hold values, not {type(prediction).__name__}")
        told = (prediction.values[name] for name in self.format.targets)
        form = ".0f" if self.whole else ".10g"
        texts = [value if isinstance(value, str) else f"{value:{form}}" for value in told]
        texts = ["0" if text == "-0" else text for text in texts]
        return row_forms.rows(self.format, image_id, (0, 0), texts)

    @property
    def whole(self) -> bool:
        """Whether the numbers are numbers of classes."""
        return self.format.metric.name in _RANKS and len(self.format.targets) == 1

    def decode(self, rows: Sequence[Row], size: tuple[int, int] | None) -> Values:
        """Return the values of an image; its size does not matter."""
        del size
        found = {number: self.value(text, row.where) for number, text, row in self.numbered(rows)}
        if missing := [name for n, name in enumerate(self.format.targets) if n not in found]:
            raise KitError(f"the row of {missing[0]} is missing", where=rows[0].where, fix="write it")
        return Values({name: found[number] for number, name in enumerate(self.format.targets)})

    def value(self, text: str, where: str) -> float | str:
        """Return the value of a cell.

        Args:
            text: of the cell.
            where: file and row, for messages.

        Raises:
            KitError: it is no finite number, or no class.
        """
        if not self.format.words:
            try:
                # Python reads "1_0" and digits of other scripts, too, which pandas takes for words.
                number = float(text) if text.isascii() and "_" not in text else math.nan
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise KitError(f"value is {text[:40]!r}, no number", where=where, fix="write a finite number")
            return number
        # A cell may hold several classes, with blanks between them, unless names of classes have blanks.
        whole = text.strip()
        words = [whole] if whole in self.format.classes else whole.split()
        for word in words or [""]:
            if word not in self.format.classes:
                near = difflib.get_close_matches(word, self.format.classes, 1)
                guess = f"did you mean {near[0]!r}? " if near else ""
                named = ", ".join(self.format.classes[:20])
                raise KitError(
                    f"value is {word[:40]!r}, no class", where=where, fix=f"{guess}classes are: {named}"
                )
        return " ".join(words)

    def alarm(self, report: Report, predictions: Mapping[str, Prediction]) -> None:
        """Alarm if all values are equal, no probabilities, or never of some class."""
        found = [one.values for one in predictions.values() if isinstance(one, Values)]
        report.facts["images"] = float(len(found))
        columns = {name: [values[name] for values in found] for name in self.format.targets}
        equal = [name for name, column in columns.items() if len(column) > 1 and len(set(column)) == 1]
        if equal:
            more = f", and so are those of {len(equal) - 1} more" if equal[1:] else ""
            report.alarm(
                f"all {len(found)} values of {equal[0]} are {columns[equal[0]][0]}{more}",
                report.subject,
                "is this the fallback file, or was one image's prediction written for all?",
            )
        for name, column in columns.items():
            wrong = [value for value in column if not isinstance(value, str) and not 0 <= value <= 1]
            if wrong and self.format.metric.name in _PROBABILITIES:
                report.alarm(
                    f"{name} is no probability in {len(wrong)} of {len(column)} rows, such as {wrong[0]:g}",
                    report.subject,
                    f"{self.format.metric.name} needs numbers in [0, 1]: was a sigmoid or softmax forgotten?",
                )
            broken = [value for value in column if not isinstance(value, str) and value != round(value)]
            if broken and self.whole:
                report.alarm(
                    f"{name} is not whole in {len(broken)} of {len(column)} rows, such as {broken[0]:g}",
                    report.subject,
                    f"{self.format.metric.name} compares numbers of classes: round them",
                )
        if self.format.words and len(found) > 1:
            seen = {
                word for values in found for told in values.values() for word in (told, *str(told).split())
            }
            if without := [name for name in self.format.classes if name not in seen]:
                more = f", nor {len(without) - 1} others" if without[1:] else ""
                report.alarm(
                    f"no image is of the class {without[0]!r}{more}",
                    report.subject,
                    "is its place in the network's output another?",
                )


COMPETITION = ValuesCompetition
"""What `kit.competitions.get` makes of a definition of this kind; it finds this module by the kind's name."""
