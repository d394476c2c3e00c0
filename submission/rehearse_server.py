"""Rehearses a competition with an evaluation API: its own gateway asks predict.py, in the sandbox.

A rehearsal of such a competition differs from others in three ways: the simulated image has what
`kaggle_evaluation` imports, the sandbox has a loopback interface, and the gateway's submission.parquet
becomes the submission.csv that is judged.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.competitions.folder import CompetitionFolder
from kit.competitions.server import SUBMISSION, server_of
from kit.errors import KitError
from kit.local.offline import sandbox
from kit.local.targets import Target
from submission.runtime.result.submission_file import NAME

PACKAGES = ("grpcio", "protobuf", "pandas", "pyarrow", "polars", "pydantic")
"""What `kaggle_evaluation` 1.7 imports; Kaggle's images have it."""
# A new network namespace has a loopback interface that is down. Whoever may bring it up is root in there;
# outside of a namespace it is up already, and this changes nothing.
_LOOPBACK = """
import contextlib, fcntl, os, socket, struct, sys
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP | IFF_RUNNING))
os.execv(sys.argv[1], sys.argv[1:])
"""


def served_target(target: Target) -> Target:
    """Return an image that also has what a gateway and an inference server import."""
    return replace(target, image_has={**dict.fromkeys(PACKAGES), **target.image_has})


def with_loopback(command: Sequence[str]) -> list[str]:
    """Return a command that brings up the loopback interface, then becomes the given one.

    Args:
        command: begins with the path of a Python.
    """
    return [command[0], "-c", _LOOPBACK, *command]


def run_served(
    command: Sequence[str], competition: CompetitionFolder, out: Path, *, cwd: Path, **how: Any
) -> tuple[sandbox.Ran, sandbox.Enforced]:
    """Run predict.py in the sandbox, where the competition's gateway asks it, and take the submission.

    Args:
        command: starts predict.py; begins with the path of a Python.
        competition: with a table `[server]`.
        out: folder that gets submission.csv, made of the gateway's file; that of an earlier run is deleted.
        cwd: folder in which the gateway writes.
        **how: as in `sandbox.run`.

    Returns:
        As `sandbox.run`.

    Raises:
        KitError: the gateway's file is no table with the columns of the answers.
    """
    result = sandbox.run(with_loopback(command), cwd=cwd, **how)
    (out / NAME).unlink(missing_ok=True)
    if (cwd / SUBMISSION).is_file():
        take_submission(cwd / SUBMISSION, out / NAME, competition)
    return result


def take_submission(written: Path, file: Path, competition: CompetitionFolder) -> None:
    """Write what a gateway has put into its submission.parquet as a submission.csv.

    Args:
        written: by the gateway.
        file: path of the CSV.
        competition: with a table `[server]`.

    Raises:
        KitError: it is no table with the columns of the answers.
    """
    import pandas as pd

    form = competition.format.submission
    wanted = [form.id, *(server_of(competition.format).columns or form.columns)]
    try:
        table = pd.read_parquet(written)
        rows = table[list(dict.fromkeys(wanted))].astype(str).to_dict("records")
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise KitError(
            f"the gateway's file cannot be used: {type(error).__name__}: {error}",
            where=written,
            fix="compare server.columns and submission.id with what the competition's gateway writes",
        ) from error
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, form.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
