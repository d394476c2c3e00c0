"""Imports the competition's own `kaggle_evaluation`, and makes its inference server."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.competitions.server import Server
from kit.errors import KitError

PACKAGE = "kaggle_evaluation"
RERUN = "KAGGLE_IS_COMPETITION_RERUN"
_GATEWAY = "_get_gateway_for_test"
"""A method that each competition's class of inference servers has."""


def inference_server(server: Server, folder: Path | None, predict: Callable[..., Any]) -> Any:
    """Return the competition's inference server; it listens once it is started.

    Args:
        server: the competition's table.
        folder: of the competition, where Kaggle ships the package; None: it was not found.
        predict: answers a call.

    Raises:
        KitError: the package or its class is missing, or no port is free.
    """
    shipped = [str(folder)] if folder is not None and (folder / PACKAGE).is_dir() else []
    where = f"server.module = {server.module!r}"
    sys.path[:0] = shipped
    try:
        module = importlib.import_module(server.module)
    except (Exception, SystemExit) as error:  # its start may end the process when a generated file is missing
        raise KitError(
            f"{server.module} cannot be imported: {type(error).__name__}: {error}",
            where=folder or where,
            fix=f"attach the competition, whose folder holds {PACKAGE}; it needs grpcio, protobuf, pandas "
            "and pyarrow, which Kaggle's images have",
        ) from error
    finally:
        # What the package imports later is found there, too; other files of the competition hide no library.
        for place in shipped:
            sys.path.remove(place)
            sys.path.append(place)
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    own = [cls for cls in classes if cls.__module__ == module.__name__ and hasattr(cls, _GATEWAY)]
    if not own:
        raise KitError(
            f"{server.module} has no class of inference servers",
            where=where,
            fix="name the module that has it",
        )
    try:
        return own[-1](predict)
    except Exception as error:
        raise KitError(
            f"{own[-1].__name__} cannot be made: {type(error).__name__}: {error}",
            where=where,
            fix="is another inference server running? Its ports are 50051 and from 60053 on",
        ) from error


def run(server: Any, folder: Path | None) -> None:
    """Answer the gateway until it has asked for everything, or until this server is stopped.

    In the hidden run the gateway is another container; elsewhere the competition's own runs in this process.

    Args:
        server: the inference server.
        folder: of the competition.
    """
    rerun = os.environ.get(RERUN) is not None
    if hasattr(server, "run"):  # kaggle_evaluation 1.7
        server.run() if rerun else server.run(competition_data_folder=folder)
    elif rerun:
        server.serve()
    else:
        server.run_local_gateway()


def frame(kind: str, columns: dict[str, list[Any]]) -> Any:
    """Return a DataFrame of "pandas" or "polars"."""
    return importlib.import_module(kind).DataFrame(columns)
