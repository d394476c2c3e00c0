"""predict.py's command line: predict, explain, or serve as a worker."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.artefacts import remove_leftovers
from kit.command_line import parse
from kit.errors import BAD_INPUT, KitError
from kit.optional import optional_module
from submission.runtime.inputs.competition_data import IMPORTS, Listed, embedded, list_images
from submission.runtime.result import wording
from submission.runtime.result.report import RunReport, process_start
from submission.runtime.script.options import CommandLine, Options
from submission.runtime.script.process import CRASHED
from submission.runtime.script.script import Script

_ABANDONED = 60.0
"""Seconds after which a temporary file is that of a killed run; it is written within one."""


def main(script: Script, argv: Sequence[str]) -> int:
    """Run predict.py.

    Args:
        script: the running predict.py.
        argv: its arguments.

    Returns:
        0: valid file with predictions, or a commit run without test images; 1: a fault of this program; 2:
        bad input, nothing could be predicted.
    """
    report = RunReport(process_start())
    try:
        command = parse(argv, CommandLine, prog="predict.py")
        if command.check_imports is not None:
            from submission.runtime.inputs.import_check import try_imports

            return try_imports(json.loads(script.parts[IMPORTS]), command.check_imports)
        # A worker is this very script, started by its supervisor with the supervisor's process id.
        if command.worker is not None:
            from submission.runtime.work.worker import Worker, serve

            (ensemble, _), server = embedded(script), _server(script)
            make = Worker if server is None else server.KeepingWorker
            return serve(ensemble, command.options.device, command.worker, make)
        if command.explain:
            try:
                from submission.runtime.explain import explain

                print(explain(script, command.options))
            except ImportError as error:
                fix = "use Kaggle's own image, or install what is missing"
                raise KitError(f"the plan cannot be made: {error}", fix=fix) from error
            return 0
        options, server = _in_a_folder(command.options), _server(script)
        return (_predict if server is None else server.serve)(script, options, report)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT


def _server(script: Script) -> Any:
    served = "server" in (embedded(script)[0].definition or {})
    return optional_module(__package__, "server.entry") if served else None


def _in_a_folder(options: Options) -> Options:
    """Return the options with absolute paths; leave a working directory that was deleted."""
    try:
        options = replace(options, input=options.input.absolute(), output=options.output.absolute())
    except OSError as error:
        raise KitError(
            "the working directory was deleted", fix="give --input and --output absolute paths"
        ) from error
    try:
        Path.cwd()
    except OSError:
        os.chdir("/")  # libraries ask for it when they are imported
    return options


def _predict(script: Script, options: Options, report: RunReport) -> int:
    # The fallback comes before everything that takes time or may fail: numpy, the scratch disk, the bundle,
    # workers, images.
    listed = _write_fallback(script, options, report)
    try:
        from submission.runtime.work.run_to_end import run_to_end

        return run_to_end(script, options, report, listed)
    except Exception as error:  # noqa: BLE001 - the file is there; what is left is to say why there is no more
        broken = isinstance(error, ImportError)
        report.fail(wording.cannot_start(error), BAD_INPUT if broken else CRASHED)
        if not broken:
            traceback.print_exc()
        return BAD_INPUT if broken else CRASHED


def _write_fallback(script: Script, options: Options, report: RunReport) -> Listed:
    ensemble, _ = embedded(script)
    report.event("start")
    report.say(wording.plan_of_run(ensemble, options.budget))
    listed = list_images(ensemble, options)
    path = options.output / listed.competition.format.submission.file
    listed.write_fallback(path)
    report.path = options.output / "report.json"
    count = len(listed.listing.ids)
    report.event("fallback", images=count)
    report.say(wording.fallback_written(count, listed.folder, path))
    for note in listed.listing.notes:
        report.problem(note)
    report.save()
    with contextlib.suppress(OSError):
        for file in (path, report.path):
            remove_leftovers(file, seconds=_ABANDONED)
    report.keep_room()
    return listed
