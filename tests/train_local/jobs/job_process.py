"""A job of the tests: it says that it began, waits, and ends as it is told.

Arguments: folder, identity, what to do. "done" writes done.json; "fail" prints an error and exits with 2;
"killed" dies by SIGKILL; "hang" waits until it is ended, with a child that waits, too; "wait:NAME" waits for
the beginning of another job first, so that both have to run at the same time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from train_local.jobs.executors.base import end_with_parent


def whole(path, value):
    """Write a file that is never seen half written."""
    path.with_suffix(".part").write_text(json.dumps(value))
    path.with_suffix(".part").rename(path)


def main(folder: Path, identity: str, what: str) -> int:
    end_with_parent()
    folder.mkdir(parents=True, exist_ok=True)
    began = {"pid": os.getpid(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "time": time.time()}
    if what == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        began["child"] = child.pid
    whole(folder / "began.json", began)
    print("output of", folder.name, flush=True)
    if what == "hang":
        time.sleep(1000)
    if what == "fail":
        print("error: the data is bad\n  where: here\n  fix:   better data", file=sys.stderr)
        return 2
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("wait:"):
        other = folder.with_name(what.removeprefix("wait:")) / "began.json"
        for _ in range(30_000):
            if other.exists():
                break
            time.sleep(0.02)
    whole(folder / "done.json", {"identity": identity, "ended": time.time()})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
