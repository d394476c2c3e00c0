"""`python -m bundle build | wheels | gate | upload | wheel | native | lock | targets | shadow | probe`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kit.errors import run_cli
from kit.local.verbs import Verb, run_verb


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    # Imported here, so that a Python without the kit's dependencies gets `run_cli`'s message.
    from bundle import build, gate, lock, shadow_report, targets_report, wheel_verb
    from bundle.native import verb as native
    from bundle.probe import verb as probe
    from bundle.requirements import verb as requirements
    from bundle.upload import verb as upload

    verbs = (
        Verb("build", build.Options, build.run),
        requirements.VERB,
        gate.VERB,
        Verb("upload", upload.Options, upload.run),
        wheel_verb.VERB,
        native.VERB,
        Verb("lock", lock.Options, lock.run),
        targets_report.VERB,
        shadow_report.VERB,
        probe.VERB,
    )
    return run_verb(argv, verbs, prog="python -m bundle", description="locks + weights -> Kaggle datasets")


if __name__ == "__main__":
    sys.exit(run_cli(main))
