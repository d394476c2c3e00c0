"""`python -m tests.kaggle_server`: uploads under random faults; each ends verified, or says why not."""

import argparse
import collections
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def main(argv):
    """Run schedules and print a line for each that ends wrong, then a table; exit 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m tests.kaggle_server", description=__doc__)
    parser.add_argument("--schedules", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="at once (default: 2)")
    parser.add_argument("--verbose", action="store_true", help="a line for each schedule")
    options = parser.parse_args(argv)
    from tests.kaggle_server.schedules import run, schedule

    def one(seed):
        plan = schedule(seed)
        with tempfile.TemporaryDirectory(prefix="kaggle-") as folder:
            codes, wrong = run(plan, Path(folder))
        if wrong or options.verbose:
            print(f"{plan} -> {codes} {'; '.join(wrong) or 'well'}", flush=True)
        return codes, wrong

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, range(options.seed, options.seed + options.schedules)))
    ends = collections.Counter(code for codes, _ in results for code in codes)
    bad = sum(bool(wrong) for _, wrong in results)
    print(f"| schedules | runs verified | refused with words | killed | ended wrong |\n|{'---|' * 5}")
    print(f"| {len(results)} | {ends[0]} | {ends[2]} | {ends[-9]} | {bad} |")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
