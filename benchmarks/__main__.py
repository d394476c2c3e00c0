"""`python -m benchmarks VERB`, or `nox -s bench -- VERB` with all peers: figures for docs/."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from benchmarks.options import (
    BudgetOptions,
    BundleOptions,
    DemoOptions,
    Documented,
    DryRunOptions,
    EarlyStoppingOptions,
    EnsembleOptions,
    EverythingOptions,
    ExampleOptions,
    InferenceOptions,
    MatrixOptions,
    ModelOptions,
    ParameterOptions,
    SetUpOptions,
    SizeOptions,
    TrainingOptions,
    WorkerOptions,
)
from kit.local.program import run_cli
from kit.local.verbs import Program, Verb

PAGE = "benchmarks.md"
"""The page of most figures."""


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    return program(argv).run(argv)


def program(argv: Sequence[str]) -> Program:
    """Return the command line; the figures say with which arguments they were made."""

    def of(module: str, page: str = PAGE) -> Callable[[Documented], int]:
        """Return what a verb does: `run` of its module, which is imported only then."""

        def run(options: Documented) -> int:
            importlib.import_module(f"benchmarks.{module}").run(options, argv, options.page(page))
            return 0

        return run

    networks, prediction, trained, machine = "networks", "predict.py", "training", "bundle and set-up"
    chain = "the whole chain"
    kept = "docs/ is unchanged"
    verbs = (
        Verb("all", EverythingOptions, _everything, "everything", ("all --dry-run",), kept),
        Verb("models", ModelOptions, of("models"), networks, ("models",), kept),
        Verb("matrix", MatrixOptions, _matrix, networks, ("matrix",), kept),
        Verb("parameters", ParameterOptions, _parameters, networks, ("parameters --write-docs",), kept),
        Verb("training", TrainingOptions, of("parts"), trained, ("training",), kept),
        Verb("ensemble", EnsembleOptions, of("ensemble"), trained, ("ensemble",), kept),
        Verb(
            "early-stopping", EarlyStoppingOptions, of("early_stopping"), trained, ("early-stopping",), kept
        ),
        Verb("inference", InferenceOptions, of("parts"), prediction, ("inference",), kept),
        Verb("budget", BudgetOptions, of("budget.command"), prediction, ("budget",), kept),
        Verb("dry-run", DryRunOptions, of("dry_run"), prediction, ("dry-run",), kept),
        Verb("workers", WorkerOptions, of("workers"), prediction, ("workers",), kept),
        Verb("demo", DemoOptions, of("demo"), chain, ("demo",), kept),
        Verb("examples", ExampleOptions, of("examples", "own-model.md"), chain, ("examples",), kept),
        Verb("size", SizeOptions, _size, prediction, ("size --write-docs",), kept),
        Verb("bundle", BundleOptions, of("bundle"), machine, ("bundle --write-docs",), kept),
        Verb("set-up", SetUpOptions, of("set_up"), machine, ("set-up",), kept),
    )
    return Program("python -m benchmarks", "Figures for docs/.", verbs)


def _everything(options: EverythingOptions) -> int:
    from benchmarks.everything import run

    return run(options)


def _matrix(options: MatrixOptions) -> int:
    from benchmarks.matrix import run

    run(options.arguments, options.page("models.md") if options.write_docs else None)
    return 0


def _parameters(options: ParameterOptions) -> int:
    from benchmarks.counts import run

    run(options.page("models.md") if options.write_docs else None)
    return 0


def _size(options: SizeOptions) -> int:
    from benchmarks.size import run

    run(options.page(PAGE) if options.write_docs else None)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
