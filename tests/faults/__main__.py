"""`python -m tests.faults`: the rendered predict.py under random schedules of faults of its machine."""

from __future__ import annotations

import collections
import contextlib
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from kit.command_line import option, parse
from kit.local.program import run_cli
from kit.typed_json import above, at_least


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run predict.py under random faults; each run has to leave a valid file in time."""

    runs: Annotated[int, at_least(1)] = field(default=300, metadata=option("how many schedules"))
    seed: Annotated[int, at_least(0)] = field(default=0, metadata=option("of the first"))
    jobs: Annotated[int, at_least(1)] = field(default=2, metadata=option("at once"))
    minutes: Annotated[float, above(0)] | None = field(
        default=None, metadata=option("begin no run later than this; the others are left out")
    )
    each: bool = field(default=False, metadata=option("each fault alone, instead of schedules"))
    keep: Path | None = field(default=None, metadata=option("keep what failed there", metavar="DIR"))
    write_docs: bool = field(default=False, metadata=option("keep the table in docs/rehearse.md"))
    docs: Path | None = field(
        default=None, metadata=option("a copy of docs/, to keep it there instead", metavar="DIR")
    )


def _do(what: int | str, place: str, reference: str):
    """Do one schedule, by its seed, or one fault, by its name; in a process of the pool."""
    from tests.faults import running, tiny

    made, folder = tiny.make(Path(place) / "tiny"), Path(place) / "runs" / str(what)
    schedule = running.draw(what) if isinstance(what, int) else running.one(what)
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            end = running.run(schedule, made, folder, reference)
        except Exception as error:  # noqa: BLE001 - a schedule that cannot be run is one that failed
            end = running.End(wrong=[f"{type(error).__name__}: {error}"])
    return schedule.seed, [fault.name for fault in schedule.faults], str(schedule), end


def main(argv: Sequence[str]) -> int:
    """Run schedules, print a line for each that went wrong and the table; 1 if there is one."""
    options = parse(argv, Options, prog="python -m tests.faults")
    from kit.local.offline.faults.catalogue import FAULTS
    from tests.faults import running, tiny

    asked = [fault.name for fault in FAULTS] if options.each else None
    asked = asked or range(options.seed, options.seed + options.runs)
    begin, done = time.monotonic(), []
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        made = tiny.make(place / "tiny")
        with contextlib.redirect_stderr(io.StringIO()):
            reference = running.undisturbed(made, place / "undisturbed")
        with ProcessPoolExecutor(options.jobs) as pool:
            waiting = {pool.submit(_do, what, str(place), reference): what for what in asked}
            for future in as_completed(waiting):
                if future.cancelled():
                    continue
                if options.minutes is not None and time.monotonic() - begin > 60 * options.minutes:
                    for other in waiting:
                        other.cancel()
                _, names, told, end = future.result()
                done.append((names, end))
                folder = place / "runs" / str(waiting[future])
                if end.wrong:
                    print(f"{told} -> {end.code}: {'; '.join(end.wrong)}", flush=True)
                    if options.keep is not None:
                        shutil.copytree(folder, options.keep / folder.name, dirs_exist_ok=True, symlinks=True)
                shutil.rmtree(folder, ignore_errors=True)
                if len(done) % 10 == 0:
                    print(f"{len(done)} of {len(asked)} runs; {running.load()}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    wrong = sum(bool(end.wrong) for _, end in done)
    text = _table(done)
    print(text)
    print(f"{len(done)} runs in {time.monotonic() - begin:.0f} s, {len(done) - wrong} left what they have to")
    if options.write_docs:
        _write_docs(options, text, len(done), wrong)
    return 1 if wrong else 0


def _table(done):
    from benchmarks.markdown import table

    rows = []
    names = collections.Counter(name for names, _ in done for name in names)
    for name in sorted(names):
        ends = [end for those, end in done if name in those]
        codes = collections.Counter(end.code for end in ends)
        struck = sum(name in end.struck for end in ends)
        wrong = sum(bool(end.wrong) for end in ends)
        rows.append([name, *map(str, (len(ends), struck or "-", codes[0], codes[2], wrong))])
    return table(("fault", "runs", "struck in a process", "exit code 0", "2", "**went wrong**"), rows)


def _write_docs(options, text, runs, wrong):
    from benchmarks.machine import describe
    from benchmarks.markdown import DOCS, write_block

    how = f"`nox -s faults -- --runs {options.runs} --seed {options.seed} --write-docs`"
    summary = f"{runs} runs, of which {runs - wrong} left a valid file in time with the right exit code."
    write_block(
        (options.docs or DOCS) / "rehearse.md", "faults", f"{text}\n\n{summary}\n\n{how} on {describe()}"
    )


if __name__ == "__main__":
    sys.exit(run_cli(main))
