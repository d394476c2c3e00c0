"""Run the conformance suite of the networks and show its result as a table: networks x checks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.markdown import table, write_block
from kit.errors import KitError

ROOT = Path(__file__).parents[1]
SUITE = "tests/kit/models/test_conformance.py"


def read(report: Path) -> dict[str, dict[str, bool]]:
    """Return network -> check -> whether all its tests passed, from the JUnit file that pytest wrote."""
    # The suite attaches two properties to each test:
    #
    #     <testcase name="test_...[segformer-b0]">
    #       <properties>
    #         <property name="network" value="segformer-b0"/>
    #         <property name="check" value="..."/>
    #
    # A check can have several tests, and passes if all of them pass. A skipped test counts as not passed.
    found: dict[str, dict[str, bool]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        properties = {item.get("name"): str(item.get("value")) for item in case.iter("property")}
        if {"network", "check"} <= properties.keys():
            checks = found.setdefault(properties["network"], {})
            passed = all(case.find(outcome) is None for outcome in ("failure", "error", "skipped"))
            checks[properties["check"]] = checks.get(properties["check"], True) and passed
    return found


def matrix_table(found: dict[str, dict[str, bool]]) -> str:
    """Return one row per network and one column per check; the cell of a check that did not run is empty."""
    checks = list(dict.fromkeys(check for row in found.values() for check in row))
    word = {True: "yes", False: "**no**", None: ""}
    rows = [[f"`{name}`", *(word[row.get(check)] for check in checks)] for name, row in sorted(found.items())]
    return table(["network", *checks], rows, numbers_from=len(checks) + 1)


def run(arguments: Sequence[str], docs: Path | None) -> None:
    """Run the suite and print the matrix.

    Args:
        arguments: more arguments for pytest.
        docs: page to write the table into, docs/models.md or a copy; None: print it only.

    Raises:
        KitError: a check did not pass; the table is not written then.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", SUITE, "--tb=short", f"--junitxml={report}", *arguments]
        # pytest's progress goes to stderr, so that stdout holds the table alone.
        done = subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr)
        found = read(report) if report.is_file() else {}
    text = matrix_table(found)
    print(text)
    if done.returncode:
        raise KitError("the conformance suite did not pass", where=SUITE, fix="see its messages above")
    if docs is not None:
        write_block(docs, "matrix", text)
