"""Another process that holds a lock: locks are between processes, so a test cannot hold one itself."""

import subprocess
import sys
from contextlib import contextmanager

_CODE = """
import sys
from pathlib import Path
from kit.local.locks import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path):
    """Hold the lock file in a process of its own while the block runs; gives that process."""
    with subprocess.Popen(
        [sys.executable, "-c", _CODE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()
