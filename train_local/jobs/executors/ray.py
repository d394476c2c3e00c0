"""Jobs on a Ray cluster: each is a task that asks for its GPUs; Ray finds the node."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from kit.errors import KitError
from train_local.jobs.executors.base import OUT_OF_MEMORY, ROOT, Poll, end, hear_interrupts, start
from train_local.jobs.job import Job

_RESTARTS = 20
"""Times that a job is started again after its node died; each time it goes on from its checkpoint."""


def _run(command: Sequence[str], log: str, root: str) -> tuple[int, str]:
    """A task: run a command line; return its exit code and where it ran. Ray sets CUDA_VISIBLE_DEVICES."""
    hear_interrupts()
    # `ray start` may have been typed in another clone, or with its PYTHONPATH: a job is of who submits it.
    process = start(command, Path(log), {}, Path(root))
    try:
        # `cancel` interrupts Python code only, not a wait inside the operating system.
        while process.poll() is None:
            time.sleep(0.2)
        return process.returncode, str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    finally:
        end(process)


@dataclass
class _Task:
    """A job of the cluster's.

    Attributes:
        job: what it does.
        log: of its output.
        task: Ray's.
        length: bytes of the log before it started.
        restarts: because of nodes that died.
    """

    job: Job
    log: Path
    task: Any
    length: int
    restarts: int = 0


class RayExecutor:
    """Runs jobs as Ray Core tasks. If a node dies, its jobs start again on others, where they go on.

    Args:
        address: of the cluster, "auto" for the one that this machine belongs to.
    """

    def __init__(self, address: str = "auto") -> None:
        host, _, port = address.rpartition(":")
        try:
            # Ray itself would try for minutes.
            if port.isdigit():
                socket.create_connection((host, int(port)), timeout=10).close()
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, configure_logging=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise KitError(
                f"no Ray cluster can be reached: {error}",
                where=f"--executor ray, address {address}",
                fix="run `ray start --head` here and `ray start --address HEAD:6379` on the other nodes, all "
                "with this Python and this Ray",
            ) from error
        self._tasks: dict[str, _Task] = {}

    def submit(self, job: Job, log: Path) -> str:
        """Queue a task; it never asks for more GPUs than a node has, since it would wait for ever."""
        handle = f"{job.name}#{len(self._tasks)}"
        self._tasks[handle] = _Task(job, log, self._send(job, log), _length(log))
        return handle

    def poll(self, handle: str) -> Poll:
        """Return what is known of a task. One runs when its log grows: Ray itself does not say it cheaply."""
        known = self._tasks[handle]
        ready, _ = ray.wait([known.task], timeout=0)
        if not ready:
            return Poll("running" if _length(known.log) > known.length else "waiting")
        try:
            code, node = ray.get(ready[0])
        except (ray.exceptions.NodeDiedError, ray.exceptions.WorkerCrashedError) as error:
            if known.restarts < _RESTARTS:
                known.restarts, known.length = known.restarts + 1, _length(known.log)
                known.task = self._send(known.job, known.log)
                return Poll("waiting")
            problem = _first_line(error)
        except ray.exceptions.OutOfMemoryError as error:
            problem = f"{OUT_OF_MEMORY}: {_first_line(error)}"
        except ray.exceptions.RayTaskError as error:
            problem = str(error.cause)
        except ray.exceptions.RayError as error:
            problem = _first_line(error)
        else:
            return Poll("ended", code, place=node)
        return Poll("ended", problem=f"Ray: {problem}")

    def cancel(self, handle: str) -> None:
        """Interrupt a task, which ends its process group."""
        task = self._tasks[handle].task
        with suppress(ValueError):
            ray.cancel(task)
        ray.wait([task], timeout=30)

    def _send(self, job: Job, log: Path) -> Any:
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        most = max((found.get("GPU", 0) for found in alive), default=0)
        gpus = min(job.resources.gpus, int(most))
        task = ray.remote(_run).options(num_cpus=1, num_gpus=gpus, max_retries=0, name=job.name)
        return task.remote(list(job.command), str(log.absolute()), str(ROOT))


def _length(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
