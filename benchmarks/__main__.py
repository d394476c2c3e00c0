"""`python -m benchmarks VERB`, or `nox -s bench -- VERB` with all peers: figures for docs/."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.options import (
    PARTS,
    TRAINING_PARTS,
    BudgetOptions,
    BundleOptions,
    DryRunOptions,
    EarlyStoppingOptions,
    EnsembleOptions,
    EverythingOptions,
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


def main(argv: Sequence[str]) -> int:
    """Run the command line."""
    return program(argv).run(argv)


def program(argv: Sequence[str]) -> Program:
    """Return the command line; the figures say with which arguments they were made."""

    def models(options: ModelOptions) -> int:
        from benchmarks.models import run

        run(options, argv)
        return 0

    def ensemble(options: EnsembleOptions) -> int:
        from benchmarks.ensemble import run

        run(options, argv)
        return 0

    def early_stopping(options: EarlyStoppingOptions) -> int:
        from benchmarks.early_stopping import run

        run(options, argv)
        return 0

    def inference(options: InferenceOptions) -> int:
        from benchmarks.parts import run

        run(PARTS, options, argv)
        return 0

    def training(options: TrainingOptions) -> int:
        from benchmarks.parts import run

        run(TRAINING_PARTS, options, argv)
        return 0

    def budget(options: BudgetOptions) -> int:
        from benchmarks.budget.command import run

        run(options, argv)
        return 0

    def workers(options: WorkerOptions) -> int:
        from benchmarks.workers import run

        run(options, argv)
        return 0

    def dry_run(options: DryRunOptions) -> int:
        from benchmarks.dry_run import run

        run(options, argv)
        return 0

    networks, prediction, trained, machine = "networks", "predict.py", "training", "bundle and set-up"
    kept = "docs/ is unchanged"
    verbs = (
        Verb("all", EverythingOptions, _everything, "everything", ("all --dry-run",), kept),
        Verb("models", ModelOptions, models, networks, ("models",), kept),
        Verb("matrix", MatrixOptions, _matrix, networks, ("matrix",), kept),
        Verb("parameters", ParameterOptions, _parameters, networks, ("parameters --write-docs",), kept),
        Verb("training", TrainingOptions, training, trained, ("training",), kept),
        Verb("ensemble", EnsembleOptions, ensemble, trained, ("ensemble",), kept),
        Verb("early-stopping", EarlyStoppingOptions, early_stopping, trained, ("early-stopping",), kept),
        Verb("inference", InferenceOptions, inference, prediction, ("inference",), kept),
        Verb("budget", BudgetOptions, budget, prediction, ("budget",), kept),
        Verb("dry-run", DryRunOptions, dry_run, prediction, ("dry-run",), kept),
        Verb("workers", WorkerOptions, workers, prediction, ("workers",), kept),
        Verb("size", SizeOptions, _size, prediction, ("size --write-docs",), kept),
        Verb("bundle", BundleOptions, _bundle, machine, ("bundle --write-docs",), kept),
        Verb("set-up", SetUpOptions, _set_up, machine, ("set-up",), kept),
    )
    return Program("python -m benchmarks", "Figures for docs/.", verbs)


def _everything(options: EverythingOptions) -> int:
    from benchmarks.everything import run

    return run(options)


def _matrix(options: MatrixOptions) -> int:
    from benchmarks.matrix import run

    run(options.arguments, write_docs=options.write_docs)
    return 0


def _parameters(options: ParameterOptions) -> int:
    from benchmarks.counts import run

    run(write_docs=options.write_docs)
    return 0


def _bundle(options: BundleOptions) -> int:
    from benchmarks.bundle import run

    run(cache=options.cache, lock=options.lock, write_docs=options.write_docs)
    return 0


def _set_up(options: SetUpOptions) -> int:
    from benchmarks.set_up import run

    run(options)
    return 0


def _size(options: SizeOptions) -> int:
    from benchmarks.size import run

    run(write_docs=options.write_docs)
    return 0


if __name__ == "__main__":
    raise SystemExit(run_cli(main))
