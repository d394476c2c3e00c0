"""Our commands as a user starts them, and as something kills them; what holds of every end."""

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.kaggle_server.server import REMOVED

ROOT = Path(__file__).parents[2]
KILLED = -9


@dataclass(frozen=True)
class Kill:
    """The process dies so many seconds after an event has happened `count` times more."""

    event: str
    count: int
    seconds: float

    def __str__(self):
        return f"kill@{self.event}#{self.count}+{self.seconds:.1f}s"


@dataclass(frozen=True)
class Ended:
    """How a command ended: code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def reason(self):
        """The kind of a failure: its first words, without names and numbers."""
        if self.code != 2:
            return ""
        first = self.err.rpartition("error: ")[2].partition("\n")[0]
        text = re.sub(r"kit-[0-9a-f]{12}|[\w-]+(/[\w.-]+)+|\d+", "...", first)
        return re.split(r"[:(;]", text)[0].strip()


def run(server, folder, arguments, *, kill=None, way="key"):
    """Run `python -m ARGUMENTS` against a server until its end or its kill.

    Args:
        server: the loopback Kaggle.
        folder: for the home folder and what is printed.
        arguments: module and its arguments.
        kill: a `Kill`, or None.
        way: the credentials, as `Server.environment` takes them.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED}
    faults = server.world.faults
    before = faults.count(kill.event) if kill else 0
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT, env={**kept, **server.environment(home, way=way)}, stdout=out, stderr=err,
        )  # fmt: skip
        while kill and process.poll() is None:
            if faults.wait_for(kill.event, before + kill.count, 0.2):
                time.sleep(kill.seconds)
                process.kill()
                kill = None
        code = process.wait()
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read(), err.read())


def wrong_with(server, ended, states):
    """What is wrong with an end, whatever the command: no words, other codes, a secret that got out.

    Args:
        server: the loopback Kaggle.
        ended: the command.
        states: all text that the command has left on the disk for the user.
    """
    wrong = []
    if ended.code not in {0, 2, KILLED}:
        wrong.append(f"exit code {ended.code}: {ended.err[-300:]}")
    if ended.code == 2 and not ("error:" in ended.err and "fix:" in ended.err):
        wrong.append(f"a failure without words: {ended.err[-300:]}")
    said = ended.out + ended.err
    # A notebook's log, with the traceback of the notebook, is shown indented; one of ours begins a line.
    if re.search("^Traceback", said, re.MULTILINE):
        wrong.append(f"a traceback: {said[-300:]}")
    secrets = (server.world.key, server.world.token, "SIGNED", "blobtoken")
    return wrong + [f"{secret} got out" for secret in secrets if secret in said + states]
