"""The simulated image's start-up hook: Python runs it in every process of predict.py, before its first line.

It is copied as `sitecustomize.py`, with a call of `begin` and `strikes.json` beside it. It knows nothing of
our code: it waits for what any program does (a file is opened, a file is put in place, a convolution is
computed) and lets a fault strike there. Standard library only; what it cannot plant is told in `failed.txt`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.abc
import importlib.machinery
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

_CHUNK = bytes(1 << 20)
_OF_GPUS = ("gpu-", "poisoned-context")
"""What the names of faults begin with that only a process with a GPU meets."""
_CUDA_BROKEN = "CUDA error: an illegal memory access was encountered"
_GPU_LOST = "CUDA error: unspecified launch failure"
_NO_KERNEL = "CUDA error: no kernel image is available for execution on the device"


def _folder() -> Path:
    """Return where the plan lies, and what has happened is noted."""
    return Path(os.environ["REHEARSAL_FAULTS"])


class _Strike:
    """One fault: at which events it strikes, and what it does.

    Args:
        number: in the plan.
        plan: fields of a `scene.Strike`.
    """

    def __init__(self, number: int, plan: dict[str, Any]) -> None:
        self.number, self.plan = number, plan
        self.point, self.action = plan["point"], plan["action"]
        self.argument: Any = plan.get("argument")
        self._mine = False

    def due(self, name: str = "") -> bool:
        """Count an event, and return whether the fault strikes at it."""
        only = self.plan.get("only")
        if str(self.plan["fault"]).startswith(_OF_GPUS) and _on_cpu():
            return False
        if only is not None and os.environ.get("CUDA_VISIBLE_DEVICES") != only:
            return False
        if not name.endswith(self.plan.get("on", "")):
            return False
        # All processes count together: each event is a byte of one file, its number is where the byte ends.
        handle = os.open(_folder() / f"events-{self.number}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            os.write(handle, b".")
            event = os.lseek(handle, 0, os.SEEK_END)
        finally:
            os.close(handle)
        after = int(self.plan.get("after", 0))
        return after < event <= after + int(self.plan.get("times", 1))

    def strike(self) -> None:
        """Do it."""
        _note(_folder() / "struck.txt", f"{self.plan['fault']} {os.getpid()} {time.monotonic():.3f}\n")
        match self.action:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill the fattest":
                os.kill(_fattest(), signal.SIGKILL)
            case "stop":
                while True:  # whoever lets it go on: it hangs for good
                    os.kill(os.getpid(), signal.SIGSTOP)
            case "terminate the supervisor":
                os.kill(_supervisor(), signal.SIGTERM)
            case "raise":
                raise RuntimeError(str(self.argument))
            case "fill":
                for folder in self.argument or []:
                    _fill(Path(folder))


def _note(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, text.encode())
    os.close(handle)


def _on_cpu() -> bool:
    """Whether this is a worker that computes on the CPU, and has no GPU that could fail."""
    words = sys.orig_argv
    return "--device" in words and words[words.index("--device") + 1] == "cpu"


def _supervisor() -> int:
    """Return the number of predict.py's own process."""
    words = sys.orig_argv
    return int(words[words.index("--worker") + 1]) if "--worker" in words else os.getpid()


def _fattest() -> int:
    """Return the process of this run that the kernel would end for want of memory."""
    supervisor, scores = _supervisor(), {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if supervisor in {int(place.name), parent}:
                scores[int(place.name)] = int((place / "oom_score").read_text())
    return max(scores, key=lambda number: (scores[number], number))


def _fill(folder: Path) -> None:
    """Write until the disk is full, as another program of the session would."""
    with contextlib.suppress(OSError), (folder / f"theirs-{os.getpid()}").open("wb", buffering=0) as stream:
        for size in (len(_CHUNK), 4096, 1):
            with contextlib.suppress(OSError):
                while stream.write(_CHUNK[:size]):
                    pass


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls a function once a module was imported."""

    def __init__(self, name: str, then: Any) -> None:
        self._name, self._then = name, then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See the base class."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader = getattr(spec, "loader", None)
        if loader is not None:
            run = loader.exec_module

            def then(module: ModuleType) -> None:
                run(module)
                self._then(module)

            loader.exec_module = then
        return spec


class _Torch:
    """What strikes inside torch.

    Args:
        plan: "gpus": None, "pretended" (two that compute, on the CPU) or "unusable" (two that are listed).
        strikes: those at convolutions.
    """

    def __init__(self, plan: dict[str, Any], strikes: list[_Strike]) -> None:
        self._gpus, self._strikes = plan["gpus"], strikes
        self._broken: str | None = None
        self._slow = 1.0

    def change(self, torch: Any) -> None:
        """Change the module."""
        if self._gpus is not None:
            _list_gpus(torch)
        if self._gpus == "pretended":
            _pretend_gpus(torch)
        if self._strikes:
            self._watch(torch)

    def _watch(self, torch: Any) -> None:
        compute = torch.nn.Conv2d.forward

        def watched(layer: Any, x: Any) -> Any:
            if self._broken is not None:
                raise RuntimeError(self._broken)
            for strike in self._strikes:
                if strike.action == "memory":
                    if _pixels(x) > float(strike.argument) * _window(x) and strike.due():
                        strike.strike()
                        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
                elif strike.due():
                    strike.strike()
                    self._strike(strike)
            begin = time.monotonic()
            result = compute(layer, x)
            if self._slow > 1:
                time.sleep((time.monotonic() - begin) * (self._slow - 1))
            return result

        torch.nn.Conv2d.forward = watched

    def _strike(self, strike: _Strike) -> None:
        if strike.action == "poison":
            # What CUDA does: after one bad access every call of the process fails.
            self._broken = _CUDA_BROKEN
            raise RuntimeError(self._broken)
        if strike.action == "lose":
            raise RuntimeError(_GPU_LOST)
        if strike.action == "slow":
            self._slow = float(strike.argument)


def _pixels(x: Any) -> int:
    return len(x) * int(x.shape[-2]) * int(x.shape[-1])


def _window(x: Any) -> int:
    """Return the pixels of the first item that any process of the run computed: a whole window."""
    place = _folder() / "window"
    if not place.exists():
        own = _folder() / f"window-{os.getpid()}"
        own.write_text(str(_pixels(x[:1])))
        with contextlib.suppress(FileExistsError):  # the first one counts
            os.link(own, place)
    return int(place.read_text())


def _list_gpus(torch: Any) -> None:
    facts = SimpleNamespace(name="Tesla T4", major=7, minor=5, total_memory=15360 << 20)
    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.get_device_properties = lambda _: facts


def _pretend_gpus(torch: Any) -> None:
    """Let what is asked of a GPU be done by the CPU."""
    move = torch.Tensor.to

    def to(tensor: Any, *args: Any, **named: Any) -> Any:
        places = [torch.device("cpu") if _is_cuda(torch, value) else value for value in args]
        named = {
            key: torch.device("cpu") if _is_cuda(torch, value) else value for key, value in named.items()
        }
        return move(tensor, *places, **named)

    class Event:
        def __init__(self, **_: object) -> None:
            self.at = 0.0

        def record(self) -> None:
            self.at = time.perf_counter()

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, later: Event) -> float:
            return 1000 * (later.at - self.at)

    torch.Tensor.to = to
    torch.Tensor.pin_memory = lambda tensor, *_: tensor
    torch.cuda.Event = Event
    torch.cuda.empty_cache = lambda: None


def _is_cuda(torch: Any, value: object) -> bool:
    return (isinstance(value, str) and value.startswith("cuda")) or (
        isinstance(value, torch.device) and value.type == "cuda"
    )


def _move_clock(after: float, by: float) -> None:
    """Let the wall clock jump after some seconds; the monotonic one does not."""
    names = ("time", "time_ns", "gmtime", "localtime")
    real = {name: getattr(time, name) for name in names}
    begin = time.monotonic()

    def jump() -> float:
        return by if time.monotonic() - begin > after else 0.0

    time.time = lambda: real["time"]() + jump()
    time.time_ns = lambda: real["time_ns"]() + int(1e9 * jump())
    for name in ("gmtime", "localtime"):
        broken_down = real[name]
        setattr(time, name, lambda seconds=None, broken_down=broken_down: broken_down(_now(seconds)))


def _now(seconds: float | None) -> float:
    return time.time() if seconds is None else seconds


def _listen(strikes: dict[str, list[_Strike]]) -> None:
    """Let faults strike where files are opened or put in place."""
    own = threading.local()

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        point = {"open": "open", "os.rename": "put in place"}.get(event)
        if point is None or getattr(own, "inside", False):
            return
        path = arguments[0 if point == "open" else 1]
        if not isinstance(path, str | bytes | os.PathLike):
            return
        own.inside = True  # what the fault itself opens is no event
        try:
            for strike in strikes[point]:
                if strike.due(os.fsdecode(path)):
                    strike.strike()
                    if strike.action == "read error":
                        raise OSError(5, "Input/output error", os.fsdecode(path))
        finally:
            own.inside = False

    sys.addaudithook(heard)


def begin() -> None:
    """Let the planned faults wait for their events in this process; called by the last line of the copy."""
    try:
        _plant()
    except Exception as error:  # noqa: BLE001 - the image must start; the rehearsal reads this file
        _note(_folder() / "failed.txt", f"{type(error).__name__}: {error}\n")


def _plant() -> None:
    plan = json.loads((_folder() / "strikes.json").read_text(encoding="utf-8"))
    worker = "--worker" in sys.orig_argv
    supervisor = "--input" in sys.orig_argv and not worker
    if plan["clock"] is not None:
        _move_clock(*plan["clock"])
    all_strikes = [_Strike(number, strike) for number, strike in enumerate(plan["strikes"])]
    strikes: dict[str, list[_Strike]] = {"open": [], "put in place": [], "convolution": [], "start": []}
    for strike in all_strikes:
        if worker if strike.plan.get("role", "worker") == "worker" else supervisor:
            strikes[strike.point].append(strike)
    for strike in strikes["start"]:
        if strike.due():
            strike.strike()
    if strikes["open"] or strikes["put in place"]:
        _listen(strikes)
    if worker and (strikes["convolution"] or plan["gpus"] is not None):
        sys.meta_path.insert(0, _AfterImport("torch", _Torch(plan, strikes["convolution"]).change))
