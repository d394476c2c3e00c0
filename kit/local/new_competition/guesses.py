"""What is known of the new definition so far: each value with its reason, and what only a person can know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kit.errors import KitError

_TIMES = 5
"""How often somebody may answer a question."""
NOT_SAID = "?"
"""Answer of somebody who does not know."""


@dataclass(frozen=True)
class Guess:
    """A value and where it comes from.

    Attributes:
        value: of the key.
        why: what it was guessed from, one short sentence.
        sure: whether it need not be asked.
    """

    value: Any
    why: str
    sure: bool = True


@dataclass(frozen=True)
class Question:
    """What only a person can know, or has to confirm.

    Attributes:
        key: of the definition, with dots: "metric.name".
        text: the question.
        guess: the answer if nobody gives another; None: there has to be one.
        choices: the possible answers; empty: any text.
    """

    key: str
    text: str
    guess: Guess | None = None
    choices: tuple[str, ...] = ()


@dataclass
class Draft:
    """The definition as far as it is known.

    Attributes:
        known: key -> guess, in the order of the file.
        answers: key -> text, as the user gave them.
        ask: asks a question; None where nobody can be asked.
        open: questions that nobody answered.
    """

    answers: Mapping[str, str]
    ask: Callable[[Question], str] | None = None
    known: dict[str, Guess] = field(default_factory=dict)
    open: list[Question] = field(default_factory=list)

    def put(self, key: str, value: Any, why: str) -> None:
        """Set a key that is not asked for; an answer of the user counts more."""
        if key in self.answers:
            self.known[key] = Guess(plain(self.answers[key]), "as you said")
        else:
            self.known[key] = Guess(value, why)

    def question(self, question: Question) -> Any:
        """Return the value of a key: the user's answer, else what was guessed; None if it stays open.

        Raises:
            KitError: the answer is none of the choices.
        """
        given = self.answers.get(question.key)
        if given is None and self.ask is not None and not (question.guess and question.guess.sure):
            given = self._asked(self.ask, question)
        if given is not None and given != NOT_SAID:
            value = plain(given)
            if question.choices and str(value) not in question.choices:
                raise KitError(
                    f"{question.key} is {given!r}", fix=f"use one of: {', '.join(question.choices)}"
                )
            self.known[question.key] = Guess(value, "as you said")
        elif question.guess is not None:
            self.known[question.key] = question.guess
        else:
            self.open.append(question)
            return None
        return self.known[question.key].value

    @staticmethod
    def _asked(ask: Callable[[Question], str], question: Question) -> str | None:
        """Ask until the answer is one of the choices, a few times; what was answered before is kept."""
        given, text = ask(question), question.text
        for _ in range(_TIMES - 1):
            if (
                not given
                or given == NOT_SAID
                or not question.choices
                or str(plain(given)) in question.choices
            ):
                break
            given = ask(replace(question, text=f"{given!r} is none of the answers. {text}"))
        return given or None

    def value(self, key: str, default: Any = None) -> Any:
        """Return what is known of a key."""
        return self.known[key].value if key in self.known else default


def plain(text: str) -> Any:
    """Return an answer as TOML reads it, else as a text: "[0, 4095]" is a list, "mean Dice" a text."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return some names for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
