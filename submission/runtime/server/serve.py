"""Runs predict.py as an inference server: at once there for the gateway, and for as long as it asks."""

from __future__ import annotations

import os
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any

from kit.competitions import folder_of
from kit.competitions.listing import Listing
from kit.errors import KitError
from kit.plan.costs import reserve_seconds
from submission.runtime.inputs.competition_data import Listed, embedded, list_images
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport, counted
from submission.runtime.result.summary import environment_facts
from submission.runtime.script.options import Options
from submission.runtime.script.process import CRASHED, STOP
from submission.runtime.script.script import Script
from submission.runtime.server.conclusion import conclude
from submission.runtime.server.endpoint import Endpoint
from submission.runtime.server.engine import Engine
from submission.runtime.server.journal import Journal
from submission.runtime.server.package import RERUN, inference_server, run
from submission.runtime.work.run_to_end import delete

_TICK = 0.25
_LONGEST_END = 10.0
"""Seconds in which the engine may end."""


def serve(script: Script, options: Options, report: RunReport) -> int:
    """Answer the gateway's calls until it has no more.

    Args:
        script: the running predict.py.
        options: of the command line.
        report: with the clock of the process.

    Returns:
        0: every call was answered, and rows were predicted if there were any; 1: a fault of this program or
        of the gateway; 2: bad input, nothing could be predicted.

    Raises:
        KitError: the competition's package is missing, or its server cannot be made.
    """
    ensemble, _ = embedded(script)
    report.say(wording.plan_of_run(ensemble, options.budget))
    output = options.output
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "give a folder that can be written with --output"
        raise KitError(f"no file can be written there: {error.strerror}", where=output, fix=fix) from error
    report.path = output / "report.json"
    report.values.update(
        competition=ensemble.competition,
        ensemble=ensemble.as_dict(),
        budget=options.budget,
        **environment_facts(),
    )
    folder, problem = None, None
    try:
        folder = list_images(ensemble, options).folder
    except KitError as error:  # the package may be in the image, and every call brings its images
        problem = str(error)
    competition = folder_of(ensemble)
    # A hidden run may be restarted; the file of another run must not pass for one of this.
    journal = Journal(output, ensemble, report.start, go_on=os.environ.get(RERUN) is not None)
    budget = options.budget - reserve_seconds(options.budget, ensemble.reserve_seconds)
    images = options.hidden_images or competition.format.hidden_images or 1
    endpoint = Endpoint(competition, journal, report, budget=budget, images=images)
    server = inference_server(endpoint.server, folder, endpoint.function())
    if problem is not None:
        report.problem(problem)
    if journal.restarted:
        report.say(f"this server was restarted: {counted(journal.progress.images, 'image')} came before")
    listed = Listed(folder or options.input, competition, Listing())
    engine = _EngineThread(script, options, report, listed, endpoint)
    engine.start()
    os.chdir(output)  # the competition's own gateway writes submission.parquet where the process is
    code = _answer(server, folder, report)
    engine.stop()
    if os.environ.get(RERUN) is None:
        journal.remove()
    return conclude(engine.engine, journal, report, code, engine.failure)


def _answer(server: Any, folder: Any, report: RunReport) -> int:
    """Run the server and, outside of the hidden run, the gateway; return the exit code that this gives."""
    over = threading.Event()

    def stop_at_signals() -> None:
        while not over.wait(_TICK):
            if STOP.requested:
                with suppress(Exception):
                    server.server.stop(0)

    threading.Thread(target=stop_at_signals, name="signals", daemon=True).start()
    port = getattr(server, "port", None)
    report.event("listening", port=port)
    report.say(f"the inference server listens on port {port}")
    try:
        run(server, folder)
    except Exception as error:  # noqa: BLE001 - what the gateway says of us, or a fault of its own
        kind = getattr(getattr(error, "error_type", None), "name", type(error).__name__)
        details = getattr(error, "error_details", None) or error
        report.problem(f"the gateway ended with {kind}: {details}", trace=traceback.format_exc())
        return CRASHED
    finally:
        over.set()
    return 0


@dataclass
class _EngineThread:
    """Makes the engine and runs it in a thread, beside the thread in which calls come."""

    script: Script
    options: Options
    report: RunReport
    listed: Listed
    endpoint: Endpoint

    def __post_init__(self) -> None:
        self.engine: Engine | None = None
        self.failure: str | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        # The kernel ends workers with the thread that started them: it has to live as long as the run.
        try:
            self.engine = Engine(self.script, self.options, self.report, self.listed, self.endpoint)
            self.engine.run()
        except Exception as error:  # noqa: BLE001 - calls are answered with fallback rows then
            known = isinstance(error, KitError)
            self.failure = str(error) if known else f"{type(error).__name__}: {error}"
            self.report.problem(f"nothing can be predicted: {self.failure}")
            if not known:
                traceback.print_exc()
        while not self._over.is_set():
            with suppress(Empty):
                self.endpoint.calls.get(timeout=_TICK).rows.set_result({})

    def stop(self) -> None:
        """End the thread, the workers and the preparation; delete temporary files."""
        self._over.set()
        if self.engine is None:
            return
        self.engine.closed = True
        self._thread.join(_LONGEST_END)
        self.engine.end_processes()
        delete(self.engine.scratch, time.monotonic() + _LONGEST_END)
