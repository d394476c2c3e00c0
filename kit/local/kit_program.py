"""The command line `python -m kit`; what a verb needs is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence

from kit.local.completion.command import COMPLETION
from kit.local.doctor.command import DOCTOR
from kit.local.new_competition.verb import NEW_COMPETITION
from kit.local.submission_options import Options, ScoreOptions, ValidateOptions
from kit.local.verbs import Program, Verb


def _score(options: Options) -> int:
    from kit.local import submission_command

    return submission_command.score(options)


def _validate(options: Options) -> int:
    from kit.local import submission_command

    return submission_command.validate(options)


def main(argv: Sequence[str]) -> int:
    """Parse the arguments and run the verb; return the exit code.

    Raises:
        KitError: bad input.
    """
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    task, file = "a submission", "--data DIR --submission submission.csv"
    kept = "the submission was only read"
    verbs = (
        Verb(
            "score",
            ScoreOptions,
            _score,
            task,
            (
                f"score --competition kidney {file}",
                f"score --competition FILE.toml {file} --split train --json",
            ),
            kept,
        ),
        Verb("validate", ValidateOptions, _validate, task, (f"validate --competition kidney {file}",), kept),
        NEW_COMPETITION,
        DOCTOR,
        COMPLETION,
    )
    description = "Submissions scored and checked here, definitions of competitions, and this machine itself."
    return Program("python -m kit", description, verbs)
