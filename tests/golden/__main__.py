"""`nox -s golden`, or `python -m tests.golden`: does predict.py still give the golden submissions?"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit.errors import KitError, run_cli
from tests.golden.comparison import run_golden

FOLDER = Path(__file__).parent


def main(argv: Sequence[str]) -> int:
    """Compare every golden ensemble, or those that are named; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("--golden", type=Path, default=FOLDER, help="folder with one folder per competition")
    parser.add_argument("--competition", action="append", help="only this one; may be repeated")
    parser.add_argument("--work", type=Path, help="keep scratch and results here (default: thrown away)")
    parser.add_argument(
        "--python", type=Path, default=Path(sys.executable), help="interpreter that has all packages"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    args = parser.parse_args(argv)
    names = args.competition or sorted(path.parent.name for path in args.golden.glob("*/ensemble.json"))
    if not names:
        raise KitError(
            "this folder holds no golden ensemble",
            where=args.golden,
            fix="give the folder tests/golden of the repository",
        )
    results: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="golden-") as scratch:
            work = args.work.resolve() / name if args.work else Path(scratch)
            results[name] = run_golden(args.golden / name, work, python=args.python)
        if not args.json:
            print("\n".join(_told(name, results[name])))
    if args.json:
        print(json.dumps(results, indent=1))
    return 0


def _told(name: str, result: dict[str, Any]) -> list[str]:
    return [
        f"{name}, {run}: {item['images']} images, {item['instances']} masks, "
        f"lowest IoU {item['lowest_iou']:.5f}, "
        f"largest score difference {item['largest_score_difference']:.1e}, {item['sha256'][:12]}"
        for run, item in result.items()
    ]


if __name__ == "__main__":
    sys.exit(run_cli(main))
