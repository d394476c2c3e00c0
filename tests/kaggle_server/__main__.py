"""`python -m tests.kaggle_server`: uploads and submissions under random faults, held against the truth."""

from __future__ import annotations

import collections
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from kit.command_line import option, parse
from kit.local.program import run_cli
from kit.typed_json import at_least


@dataclass(frozen=True, kw_only=True)
class Options:
    """Run commands against a Kaggle that fails at random; each ends verified, scored or with words."""

    schedules: Annotated[int, at_least(1)] = field(default=300, metadata=option("how many"))
    seed: Annotated[int, at_least(0)] = field(default=0, metadata=option("of the first"))
    jobs: Annotated[int, at_least(1)] = field(default=2, metadata=option("at once"))
    verbose: bool = field(default=False, metadata=option("a line for each schedule"))
    write_docs: bool = field(default=False, metadata=option("keep the tables in docs/upload.md"))
    docs: Path | None = field(
        default=None, metadata=option("a copy of docs/, to keep them there instead", metavar="DIR")
    )


def main(argv: Sequence[str]) -> int:
    """Run schedules and print a line for each that ends wrong, then the tables; 1 if there is one."""
    options = parse(argv, Options, prog="python -m tests.kaggle_server")
    from tests.kaggle_server.schedules import run, schedule
    from tests.kaggle_server.submitting import make

    lock, done = threading.Lock(), []
    with tempfile.TemporaryDirectory(prefix="kaggle-") as scratch:
        seeds = range(options.seed, options.seed + options.schedules)
        submits = any(schedule(seed).case == "submit" for seed in seeds)
        made = make(Path(scratch) / "made") if submits else None

        def one(seed):
            plan, folder = schedule(seed), Path(scratch) / str(seed)
            folder.mkdir()
            ends, wrong = run(plan, folder, made)
            with lock:
                done.append((plan, ends, wrong))
                if wrong or options.verbose:
                    codes = " ".join(str(end.code) for end in ends)
                    print(f"{plan} -> {codes} {'; '.join(wrong) or 'well'}", flush=True)
                if len(done) % 20 == 0:
                    print(
                        f"{len(done)} of {options.schedules} schedules are done", file=sys.stderr, flush=True
                    )

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(one, seeds))
    text = _tables(done)
    print(text)
    if options.write_docs:
        from benchmarks.machine import describe
        from benchmarks.markdown import DOCS, write_block

        how = f"`nox -s faults -- --schedules {options.schedules} --seed {options.seed} --write-docs`"
        write_block((options.docs or DOCS) / "upload.md", "faults", f"{text}\n\n{how} on {describe()}")
    return 1 if any(wrong for _, _, wrong in done) else 0


def _tables(done):
    """What became of the commands of all schedules, and the reasons of those that ended with 2."""
    from benchmarks.markdown import table

    rows = []
    for case, name in CASES.items():
        those = [(ends, wrong) for plan, ends, wrong in done if plan.case == case]
        codes = collections.Counter(end.code for ends, _ in those for end in ends)
        last = sum(ends[-1].code == 0 for ends, _ in those)
        wrong = sum(bool(wrong) for _, wrong in those)
        rows.append([name, *map(str, (len(those), codes[0], codes[2], codes[-9], last, wrong))])
    first = table(HEAD, rows)
    reasons = collections.Counter(end.reason for _, ends, _ in done for end in ends if end.code == 2)
    most = [[text, str(count)] for text, count in reasons.most_common()]
    return f"{first}\n\n{table(('why a command ended with 2', 'commands'), most)}"


HEAD = (
    "what is done", "schedules", "commands that ended with 0", "with 2", "killed",
    "schedules that a clean run ended well", "**that ended wrong**",
)  # fmt: skip
CASES = {
    "new": "upload of a new dataset",
    "version": "upload of a version",
    "model": "upload of a new model",
    "version of a model": "upload of a model's version",
    "submit": "push and submission",
}


if __name__ == "__main__":
    sys.exit(run_cli(main))
