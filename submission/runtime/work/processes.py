"""Worker processes: started, talked to in lines of JSON, killed by process group when they hang.

One thread owns everything here. A worker gets one short request at a time, and one hint beside it, so that a
stopped worker can never block the supervisor (see `work.messages`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.plan.tasks import Task
from submission.runtime.work.messages import (
    LONGEST_MESSAGE,
    Exited,
    Failed,
    Prepare,
    Progress,
    Reply,
    Request,
    read_reply,
    to_line,
)

_LOG_TAIL = 8000
_READ = 1 << 16
_START_LIMITS = 4
"""A worker may take this many times the limit to import torch: a cold image reads gigabytes of libraries."""
_ACTIVE_LIMITS = 4
"""A silent worker that still computes or reads gets this many times its limit: the machine may be busy."""
_LAST_STEPS = 2.0
"""Seconds that a worker may take to end after it has closed its output; on a busy machine it needs some."""


@dataclass
class WorkerProcess:
    """One process.

    Attributes:
        number: unique in the run; a replacement gets a new one.
        device: "cpu" or "cuda:0", as torch calls it inside the process.
        slot: which of the machine's devices or cores it uses.
        process: handle of the process.
        log: file with its stderr.
        ready: it has imported torch and checked its device.
        task: what it works on, None when idle.
        loaded: the member of its last pass, which it holds between tasks.
        prepared: it was told what probably comes after its task.
        heard: monotonic time of its last message, or of its last task's start.
        active: monotonic time at which its process was last seen at work.
        in_forward: it has sent progress of its task.
        ends: it has said that it ends.
        started: monotonic time of its task's start.
        rest: the beginning of a message whose end has not arrived.
    """

    number: int
    device: str
    slot: int
    process: subprocess.Popen[bytes]
    log: Path
    ready: bool = False
    task: Task | None = None
    loaded: int | None = None
    prepared: bool = False
    heard: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)
    active: float = 0.0
    in_forward: bool = False
    ends: bool = False
    rest: bytes = b""
    _work: int | None = None

    def look(self) -> None:
        """Note whether the process computed or read since the last look."""
        # Fields 12, 14 and 15 of proc(5) stat: pages read from disk, ticks in user and in kernel mode. A
        # process that is stopped, or waits for a dead mount, changes none of them.
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8", errors="replace")
            fields = text.rpartition(")")[2].split()
            work = int(fields[9]) + int(fields[11]) + int(fields[12])
        except (OSError, ValueError, IndexError):
            return
        if self._work is not None and work != self._work:
            self.active = time.monotonic()
        self._work = work

    def hangs(self, limit: float) -> bool:
        """Whether it was silent too long.

        Args:
            limit: seconds that it may be silent and do nothing.
        """
        # A limit of 30 s: a worker with a task may be silent for 30 s, a new one may import for 120 s. A
        # worker in a pass sends a sign of life every half second, as long as its network returns. One that is
        # silent but still computes or reads has four times as long: on a busy machine an import of 5 s takes
        # minutes. Not so on a GPU: a process waits for a kernel that hangs by computing.
        longest = limit if self.ready else _START_LIMITS * limit
        now = time.monotonic()
        silent = now - self.heard
        if silent > longest / 4:
            self.look()
        waits = self.in_forward and self.device != "cpu"
        idle = silent if waits else min(silent, now - self.active)
        return idle > longest or silent > _ACTIVE_LIMITS * longest

    def tail(self) -> str:
        """Return the end of what it wrote to stderr."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
        except OSError:
            return ""


@dataclass(frozen=True)
class Received:
    """What a worker said, or that it ended."""

    worker: WorkerProcess
    message: Reply | Exited


class WorkerProcesses:
    """The live worker processes.

    Args:
        command: starts a worker.
        environment: of the workers.
        logs: folder for their stderr.

    Attributes:
        live: processes that have not ended.
        started: number of processes started so far.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.logs = logs
        self.live: list[WorkerProcess] = []
        self.started = 0
        self._selector = selectors.DefaultSelector()
        self._not_sent: list[Received] = []

    def start(self, device: str, slot: int, extra: Mapping[str, str]) -> WorkerProcess:
        """Start a worker.

        Args:
            device: "cpu" or "cuda:0".
            slot: which device or core it uses.
            extra: environment of its own, e.g. CUDA_VISIBLE_DEVICES.

        Raises:
            OSError: the process or its log cannot be made.
        """
        log = self.logs / f"worker-{self.started}.log"
        # Libraries fill their caches at import without locks (yapf's grammar, matplotlib's fonts). With a
        # shared cache one worker would read what another has half written.
        cache = self.logs / f"cache-{self.started}"
        caches = {"XDG_CACHE_HOME": str(cache), "MPLCONFIGDIR": str(cache / "matplotlib")}
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*self.command, "--device", device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**self.environment, **caches, **extra},
                start_new_session=True,  # so that its children die with it
            )
        worker = WorkerProcess(self.started, device, slot, process, log)
        self.started += 1
        self.live.append(worker)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        return worker

    def send(self, worker: WorkerProcess, task: Task, request: Request) -> None:
        """Give a task to an idle worker. If the worker is dead, `poll` returns its `Exited`.

        A request that is too long for a pipe is not sent: `poll` returns that it failed.

        Args:
            worker: an idle one.
            task: kept as `worker.task`.
            request: the same task, for the process.
        """
        assert worker.task is None
        line = to_line(request)
        worker.task, worker.heard, worker.started = task, time.monotonic(), time.monotonic()
        worker.in_forward = worker.prepared = False
        if len(line) > LONGEST_MESSAGE:
            # Only a cell of a table can be that long: the image's id, its organ or its source.
            problem = f"the id or the metadata of this image are too long: {len(line) / 1000:.0f} kB"
            self._not_sent.append(Received(worker, Failed(stage="image", problem=problem)))
            return
        self._write(worker, line)

    def prepare(self, worker: WorkerProcess, files: Sequence[str]) -> None:
        """Tell a busy worker what it will probably read after its task.

        The caller does this once in a task: a request and a hint at most wait in the pipe, whatever the
        worker does.
        """
        worker.prepared = True
        line = to_line(Prepare(files=tuple(files)))
        if files and len(line) <= LONGEST_MESSAGE // 2:
            self._write(worker, line)

    def _write(self, worker: WorkerProcess, line: bytes) -> None:
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):
            worker.process.stdin.write(line)
            worker.process.stdin.flush()

    def idle(self) -> list[WorkerProcess]:
        """Return the workers that are ready and have no task."""
        return [worker for worker in self.live if worker.ready and worker.task is None and not worker.ends]

    def busy(self) -> bool:
        """Whether a worker has a task."""
        return any(worker.task is not None for worker in self.live)

    def poll(self, timeout: float) -> list[Received]:
        """Wait for messages and return them.

        Args:
            timeout: seconds to wait at most for the first one.
        """
        received, self._not_sent = self._not_sent, []
        for key, _ in self._selector.select(0.0 if received else max(timeout, 0.0)):
            worker: WorkerProcess = key.data
            assert worker.process.stdout is not None
            data = os.read(worker.process.stdout.fileno(), _READ)
            worker.heard = time.monotonic()
            # A read may end inside a message: b'{"a": 1}\n{"b"' gives one line and the rest b'{"b"'.
            *lines, worker.rest = (worker.rest + data).split(b"\n")
            replies = [reply for line in lines if (reply := read_reply(line)) is not None]
            received += [Received(worker, reply) for reply in replies]
            worker.in_forward |= any(isinstance(reply, Progress) for reply in replies)
            worker.ends |= any(isinstance(reply, Failed) and reply.ends for reply in replies)
            # No data from a pipe that can be read means that its other end is closed.
            if not data:
                # Python closes its files some time before it ends: a kill in between would hide the reason.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(timeout=_LAST_STEPS)
                received.append(Received(worker, Exited(code=self.kill(worker))))
        return received

    def kill(self, worker: WorkerProcess) -> int | None:
        """End a worker and all processes it started, even if it is stopped; a second call does nothing.

        Returns:
            Its exit code, negative for a signal; None if it does not end within 2 s (blocked in a driver).
        """
        if worker in self.live:
            self.live.remove(worker)
            assert worker.process.stdout is not None
            self._selector.unregister(worker.process.stdout)
            # The whole group is killed: the worker may have ended while a child of it still lives.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            for stream in (worker.process.stdin, worker.process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):  # what was not yet written has no reader any more
                    stream.close()
        try:
            return worker.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return None

    def kill_all(self) -> None:
        """End all workers."""
        for worker in list(self.live):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process.pid, signal.SIGKILL)
        for worker in list(self.live):
            self.kill(worker)


def worker_command(script: Path) -> list[str]:
    """Return the command that starts a worker of a script."""
    return [sys.executable, str(script), "--worker", str(os.getpid())]
