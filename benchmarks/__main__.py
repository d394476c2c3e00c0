"""`nox -s bench -- models` or `-- inference`, or `python -m benchmarks VERB`: figures for docs/."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import counts, inference, matrix, models
from kit.errors import run_cli


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures for docs/.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    models.add_arguments(verbs.add_parser("models", help="time and memory of the networks, and of peers"))
    inference.add_arguments(verbs.add_parser("inference", help="slides, masks and scores, and of peers"))
    verbs.add_parser("matrix", help="networks x checks of the conformance suite; more arguments go to pytest")
    verbs.add_parser("parameters", help="parameters of the networks, beside the published numbers")
    for verb in verbs.choices.values():
        verb.add_argument("--write-docs", action="store_true", help="keep the tables in docs/")
    arguments, others = parser.parse_known_args(argv)
    if others and arguments.verb != "matrix":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    if arguments.verb == "matrix":
        matrix.run(others, write_docs=arguments.write_docs)
    elif arguments.verb == "models":
        models.run(arguments, argv)
    elif arguments.verb == "inference":
        inference.run(arguments, argv)
    else:
        counts.run(write_docs=arguments.write_docs)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
