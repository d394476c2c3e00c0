"""`nox -s golden`, or `python -m tests.golden`: does predict.py still give the golden submissions?

With `--make` it makes the golden files again. They are committed, so nobody has to: first the images, then
the weights, then the expected submissions, which depend on both.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kit.command_line import option, parse
from kit.errors import KitError
from kit.local.program import run_cli

FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Options:
    """Compare what predict.py writes today with the golden submissions."""

    golden: Path = field(default=FOLDER, metadata=option("folder with one folder per competition"))
    competitions: tuple[str, ...] = field(
        default=(),
        metadata=option("only this one; may be repeated", flag="--competition", metavar="NAME", repeat=True),
    )
    work: Path | None = field(
        default=None, metadata=option("keep scratch and results here (default: thrown away)", metavar="DIR")
    )
    python: Path = field(
        default=Path(sys.executable), metadata=option("interpreter that has all packages", metavar="FILE")
    )
    json: bool = field(default=False, metadata=option("print the result as JSON"))
    make: Literal["images", "weights", "expected"] | None = field(
        default=None, metadata=option("make these golden files again, and compare nothing")
    )


def main(argv: Sequence[str]) -> int:
    """Compare every golden ensemble, or those that are named; returns the exit code."""
    options = parse(argv, Options, prog="python -m tests.golden")
    if options.make is not None:
        with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
            _make(options.make, options.work or Path(scratch))
        return 0
    from tests.golden.comparison import run_golden

    found = sorted(path.parent.name for path in options.golden.glob("*/ensemble.json"))
    if not (names := options.competitions or tuple(found)):
        raise KitError(
            "this folder holds no golden ensemble",
            where=options.golden,
            fix="give the folder tests/golden of the repository",
        )
    results: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
            work = options.work.resolve() / name if options.work else Path(scratch)
            results[name] = run_golden(options.golden / name, work, python=options.python)
        if not options.json:
            print("\n".join(_told(name, results[name])))
    if options.json:
        print(json.dumps(results, indent=1))
    return 0


def _make(what: Literal["images", "weights", "expected"], work: Path) -> None:
    # Imported here: a Python without the packages is told which of them it lacks.
    if what == "images":
        from tests.golden import cut_images

        cut_images.make()
    elif what == "weights":
        from tests.golden import train_weights

        train_weights.make(work)
    else:
        from tests.golden import slow_path

        slow_path.make()


def _told(name: str, result: dict[str, Any]) -> list[str]:
    return [
        f"{name}, {run}: {item['images']} images, {item['instances']} masks, "
        f"lowest IoU {item['lowest_iou']:.5f}, "
        f"largest score difference {item['largest_score_difference']:.1e}, {item['sha256'][:12]}"
        for run, item in result.items()
    ]


if __name__ == "__main__":
    sys.exit(run_cli(main))
