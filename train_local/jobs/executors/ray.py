"""Jobs on a Ray cluster: each is a task that asks for its GPUs; Ray finds the node."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray

from kit.errors import KitError
from train_local.jobs.executors.base import Poll, end, hear_interrupts, start
from train_local.jobs.job import Resources


def _run(command: Sequence[str], log: str) -> tuple[int, str]:
    """A task: run a command line; return its exit code and where it ran. Ray sets CUDA_VISIBLE_DEVICES."""
    hear_interrupts()
    process = start(command, Path(log), {})
    try:
        # `cancel` interrupts Python code only, not a wait inside the operating system.
        while process.poll() is None:
            time.sleep(0.2)
        return process.returncode, str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    finally:
        end(process)


class RayExecutor:
    """Runs jobs as Ray Core tasks. A node that dies loses its job; the next `train-all` goes on with it.

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
        except (OSError, ValueError) as error:
            raise KitError(
                f"no Ray cluster can be reached: {error}",
                where=f"--executor ray, address {address}",
                fix="run `ray start --head` here and `ray start --address HEAD:6379` on the other nodes",
            ) from error
        self._tasks: dict[str, Any] = {}

    def submit(self, name: str, command: Sequence[str], resources: Resources, log: Path) -> str:
        """Queue a task; it never asks for more GPUs than a node has, since it would wait for ever."""
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        most = max((found.get("GPU", 0) for found in alive), default=0)
        task = ray.remote(_run).options(
            num_cpus=1, num_gpus=min(resources.gpus, int(most)), max_retries=0, name=name
        )
        handle = f"{name}#{len(self._tasks)}"
        self._tasks[handle] = task.remote(list(command), str(log))
        return handle

    def poll(self, handle: str) -> Poll:
        """Return what is known of a task. Ray does not say cheaply whether one has started."""
        ready, _ = ray.wait([self._tasks[handle]], timeout=0)
        if not ready:
            return Poll("running")
        try:
            code, node = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            return Poll("ended", problem=f"Ray: {str(error).splitlines()[0]}")
        return Poll("ended", code, place=node)

    def cancel(self, handle: str) -> None:
        """Interrupt a task, which ends its process group."""
        task = self._tasks[handle]
        with suppress(ValueError):
            ray.cancel(task)
        ray.wait([task], timeout=30)
