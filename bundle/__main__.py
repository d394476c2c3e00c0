"""`python -m bundle build | wheels | gate | upload | wheel | native | lock | targets | shadow | probe`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.local.program import run_cli
from kit.local.verbs import Program, Verb


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    # Imported here, so that a Python without the kit's dependencies gets `run_cli`'s message.
    from bundle import build, gate, lock, shadow_report, targets_report, wheel_verb
    from bundle.native import verb as native
    from bundle.probe import verb as probe
    from bundle.requirements import verb as requirements
    from bundle.upload import verb as upload

    datasets = "datasets"
    verbs = (
        Verb(
            "build",
            build.Options,
            build.run,
            datasets,
            ("build --ensemble dist/kidney/ensemble.json --out dist/kidney/bundle",),
            "downloads and wheels that are built are kept; the datasets are incomplete",
        ),
        requirements.VERB,
        gate.VERB,
        Verb(
            "upload",
            upload.Options,
            upload.run,
            datasets,
            (
                "upload --bundle dist/kidney/bundle --dry-run",
                "upload --bundle dist/kidney/bundle --verify full",
            ),
            "files that Kaggle has are not sent again",
        ),
        wheel_verb.VERB,
        native.VERB,
        Verb(
            "lock",
            lock.Options,
            lock.run,
            "wheels and the lock",
            ("lock --check", "lock --upgrade"),
            "the lock of before is unchanged, and Pythons that are resolved are kept",
        ),
        targets_report.VERB,
        shadow_report.VERB,
        probe.VERB,
    )
    return Program("python -m bundle", "Locks + weights -> Kaggle datasets.", verbs)


if __name__ == "__main__":
    sys.exit(run_cli(main))
