"""`python -m submission render | rehearse | installer | rehearse-install | faults | report | submit | ..`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from kit.command_line import option
from kit.errors import KitError
from kit.local.program import run_cli
from kit.local.verbs import Program, Verb
from kit.typed_json import above, at_least
from submission.runtime.script.options import DEFAULT_BUDGET, Count, Seconds


@dataclass(frozen=True, kw_only=True)
class Render:
    """Write predict.py and predict.ipynb for an ensemble and its bundle."""

    ensemble: Path = field(metadata=option("ensemble.json", metavar="FILE"))
    bundle: Path = field(metadata=option("folder with the dataset folders", metavar="DIR"))
    out: Path = field(metadata=option("path of predict.py", metavar="FILE"))
    budget: Seconds = field(
        default=DEFAULT_BUDGET,
        metadata=option("of predict.py on Kaggle, from start to end; less than the limit", metavar="SECONDS"),
    )
    hidden_images: Count | None = field(
        default=None,
        metadata=option("in the hidden run (default: as the competition says)", metavar="N"),
    )
    hidden_megapixels: Annotated[float, above(0)] | None = field(
        default=None, metadata=option("of all hidden images together (default: as it says)", metavar="MP")
    )


def _render(options: Render) -> int:
    from submission.render import render

    done = render(
        options.ensemble,
        options.bundle,
        options.out,
        budget=options.budget,
        hidden_images=options.hidden_images,
        hidden_megapixels=options.hidden_megapixels,
    )
    facts = {"script": str(done.script), "bytes": done.size, "sha256": done.sha256, "modules": done.modules}
    print(json.dumps(facts))
    return 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page: about a run, from its report.json, or about the whole chain."""

    report: Path | None = field(
        default=None, metadata=option("report.json of a run", metavar="REPORT", positional=True)
    )
    out: Path | None = field(
        default=None, metadata=option("the HTML file (default: beside report.json)", metavar="FILE")
    )
    data: Path | None = field(
        default=None, metadata=option("the competition's folder, for pictures of its images", metavar="DIR")
    )
    submission: Path | None = field(
        default=None, metadata=option("the run's file (default: beside report.json)", metavar="FILE")
    )
    chapters: tuple[tuple[str, Path, Path, Path], ...] = field(
        default=(),
        metadata=option(
            "the whole chain instead: a competition's name, data folder, dist folder and training runs",
            flag="--chapter",
            repeat=True,
            metavar=("COMPETITION", "DATA", "DIST", "RUNS"),
        ),
    )
    pictures: Annotated[int, at_least(0)] = field(
        default=24,
        metadata=option("images with a picture, at most: two of three are the worst", metavar="N"),
    )


def _report(options: Report) -> int:
    from kit.local.console import working
    from submission.report.chapter import Sources
    from submission.report.page import write_report
    from submission.report.run_page import write_run_page

    if (options.report is None) == (not options.chapters):
        raise KitError("name one report.json, or chapters", fix="see `python -m submission report --help`")
    if options.report is not None:
        out = options.out or options.report.with_name("report.html")
        with working("drawing the page"):
            write_run_page(
                options.report,
                out,
                data=options.data,
                submission=options.submission,
                pictures=options.pictures,
            )
    elif options.out is None:
        raise KitError("say where the page goes", fix="add --out FILE")
    else:
        out = options.out
        with working("drawing the page"):
            write_report(out, [Sources(*chapter) for chapter in options.chapters], pictures=options.pictures)
    print(out)
    return 0


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Print the faults that a rehearsal can have, one on each line."""

    json: bool = field(default=False, metadata=option("print JSON"))


def _faults(options: Faults) -> int:
    from kit.local.offline.faults.catalogue import FAULTS, as_text

    told = [
        {"name": fault.name, "stands_for": fault.stands_for, "made_by": fault.made_by} for fault in FAULTS
    ]
    print(json.dumps(told, indent=1) if options.json else as_text())
    return 0


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run one verb; returns the exit code."""
    return program().run(argv)


def program() -> Program:
    """Return the command line."""
    # Imported here, so that a Python without the kit's dependencies gets `run_cli`'s message.
    from submission import rehearse
    from submission.installer import rehearse as rehearse_install
    from submission.installer import verb as installer
    from submission.submit import verb as submitting

    here, dist = "on this machine", "dist/kidney"
    made = f"--bundle {dist}/bundle"
    rehearsal = f"rehearse --predict {dist}/predict.py {made} --data DIR --out {dist}/rehearsal"
    verbs = (
        Verb(
            "render",
            Render,
            _render,
            here,
            (f"render --ensemble {dist}/ensemble.json {made} --out {dist}/predict.py",),
            "the predict.py of before is unchanged",
        ),
        Verb(
            "rehearse",
            rehearse.Options,
            rehearse.run,
            here,
            (rehearsal, f"{rehearsal} --faults random --seed 7 --json"),
            "the simulated image is kept, and the rehearsal begins anew",
        ),
        Verb("faults", Faults, _faults, here, ("faults", "faults --json"), "nothing was to be written"),
        Verb(
            "report",
            Report,
            _report,
            here,
            (
                f"report {dist}/rehearsal/report.json --data DIR",
                f"report --out dist/report.html --chapter kidney DIR {dist} runs/kidney",
            ),
            "the page of before is unchanged",
        ),
        installer.VERB,
        rehearse_install.VERB,
        submitting.SUBMIT,
        submitting.SUBMISSIONS,
    )
    description = "Ensemble -> predict.py, its rehearsal and its submission."
    return Program("python -m submission", description, verbs)


if __name__ == "__main__":
    sys.exit(run_cli(main))
