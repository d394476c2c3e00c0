"""Worker processes: started, talked to in JSON lines, killed by process group when they hang.

One thread owns everything here. Messages to a worker are short (a pipe holds 64 KiB), and at most one is on
its way, so that a stopped worker can never block the supervisor.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LOG_TAIL = 2000
_READ = 1 << 16
LONGEST_MESSAGE = 1 << 15


@dataclass
class Worker:
    """One process.

    Attributes:
        number: its lane in reports; a successor gets a new one.
        device: "cpu" or "cuda:0", as torch calls it inside the process.
        slot: which of the machine's devices or cores it stands for.
        log: file with its stderr.
        ready: it has imported torch and checked its device.
        job: what it works on, None when idle.
        heard: monotonic time of its last sign of life, or of its last job's start.
        started: monotonic time of its job's start.
        rest: the beginning of a message whose end has not arrived.
    """

    number: int
    device: str
    slot: int
    process: subprocess.Popen[bytes]
    log: Path
    ready: bool = False
    job: Any = None
    heard: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.monotonic)
    rest: bytes = b""

    def tail(self) -> str:
        """The end of what it wrote to stderr."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip()
        except OSError:
            return ""


@dataclass(frozen=True)
class Message:
    """What a worker said; the event "exit" is the pool's own, with the exit code."""

    worker: Worker
    event: str
    facts: Mapping[str, Any]


class Pool:
    """The live workers.

    Args:
        command: starts a worker.
        environment: of the workers.
        logs: folder for their stderr.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.logs = logs
        self.workers: list[Worker] = []
        self.spawned = 0
        self._selector = selectors.DefaultSelector()

    def spawn(self, device: str, slot: int, extra: Mapping[str, str]) -> Worker:
        """Start a worker.

        Args:
            device: "cpu" or "cuda:0".
            slot: which device or core it stands for.
            extra: environment of its own, e.g. CUDA_VISIBLE_DEVICES.
        """
        log = self.logs / f"worker-{self.spawned}.log"
        # Libraries fill their caches at import without locks (yapf's grammar, matplotlib's fonts): one reads
        # what the other has half written. Each worker gets a cache of its own.
        cache = self.logs / f"cache-{self.spawned}"
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
        worker = Worker(self.spawned, device, slot, process, log)
        self.spawned += 1
        self.workers.append(worker)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        return worker

    def send(self, worker: Worker, job: Any, message: Mapping[str, Any]) -> None:
        """Give an idle worker a job; its death shows up as an "exit" message.

        Args:
            worker: an idle one.
            job: kept as `worker.job`.
            message: for the process.
        """
        assert worker.job is None
        data = json.dumps(message).encode() + b"\n"
        assert len(data) < LONGEST_MESSAGE, len(data)
        worker.job, worker.heard, worker.started = job, time.monotonic(), time.monotonic()
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):
            worker.process.stdin.write(data)
            worker.process.stdin.flush()

    def idle(self) -> list[Worker]:
        """Workers that are ready and have no job."""
        return [worker for worker in self.workers if worker.ready and worker.job is None]

    def poll(self, timeout: float) -> list[Message]:
        """Wait for messages.

        Args:
            timeout: seconds to wait at most for the first one.
        """
        messages: list[Message] = []
        for key, _ in self._selector.select(max(timeout, 0.0)):
            worker: Worker = key.data
            assert worker.process.stdout is not None
            data = os.read(worker.process.stdout.fileno(), _READ)
            worker.heard = time.monotonic()
            *lines, worker.rest = (worker.rest + data).split(b"\n")
            messages += [message for line in lines if (message := _parse(worker, line)) is not None]
            if not data:
                code = self.kill(worker)
                messages.append(Message(worker, "exit", {"code": code}))
        return messages

    def kill(self, worker: Worker) -> int | None:
        """End a worker and all it started, stopped or not; a second call does nothing.

        Returns:
            Its exit code, negative for a signal; None if the kernel keeps it (blocked in a driver).
        """
        if worker in self.workers:
            self.workers.remove(worker)
            assert worker.process.stdout is not None
            self._selector.unregister(worker.process.stdout)
            # The leader may have ended while a child of it still lives: the group is what is killed.
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
        for worker in list(self.workers):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.process.pid, signal.SIGKILL)
        for worker in list(self.workers):
            self.kill(worker)


def _parse(worker: Worker, line: bytes) -> Message | None:
    """A worker's message; None for what an image's start-up hooks print before the worker has its channel."""
    try:
        facts = json.loads(line)
        return Message(worker, facts.pop("event"), facts)
    except (ValueError, AttributeError, KeyError, TypeError):
        return None


def worker_command(script: Path) -> list[str]:
    """The command that runs a script's worker part."""
    return [sys.executable, str(script), "--worker", str(os.getpid())]
