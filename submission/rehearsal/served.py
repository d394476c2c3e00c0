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

from kit.competitions.folder import CompetitionFolder
from kit.competitions.server import server_of
from kit.errors import KitError
from kit.local.targets import Target

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
    wanted = [form.id, *(server_of(competition.format).columns or competition.columns)]
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
        writer = csv.DictWriter(stream, competition.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
