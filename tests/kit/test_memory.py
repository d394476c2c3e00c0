import platform
import subprocess
import sys

import pytest

FREES_AND_TAKES = """
import resource, sys
import numpy as np
from kit.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
block = np.ones(1 << 26, np.uint8)
del block
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    block = np.ones(1 << 26, np.uint8)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how):
    done = subprocess.run(
        [sys.executable, "-c", FREES_AND_TAKES, how], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands freed memory back at once")
def test_large_blocks_that_were_freed_are_used_again():
    # Ten times 64 MB; a page may be 4 kB or, where the system makes them huge, 2 MB.
    assert new_pages("keep") < new_pages("hand back") / 10
