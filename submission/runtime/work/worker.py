"""The process that computes: told what to do in JSON lines on stdin, answers in JSON lines.

It imports torch and checks its device at once, while the supervisor still verifies and installs the bundle.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from kit.artefacts import read_json, write_json
from kit.images.info import ImageInfo
from kit.ensemble import Ensemble
from kit.ensemble import from_dict as ensemble_from
from kit.errors import KitError
from submission.runtime.work.device import check

_SIGN_OF_LIFE = 0.5
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Channel:
    """The way back to the supervisor: the process's first stdout. What libraries print goes to stderr."""

    def __init__(self) -> None:
        self._stream: IO[str] = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def send(self, event: str, **facts: Any) -> None:
        """Send one message."""
        self._stream.write(json.dumps({"event": event, **facts}) + "\n")
        self._stream.flush()


class Stopwatch:
    """Adds up the time inside a network's forward passes.

    On CUDA it records events and reads them at the end, so that measuring does not make the CPU wait.
    """

    def __init__(self, device: str, on_first: Callable[[float], None]) -> None:
        self.device = device
        self._on_first: Callable[[float], None] | None = on_first
        self._seconds = 0.0
        self._events: list[tuple[Any, Any]] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*args: Any, **more: Any) -> Any:
            import torch

            if self._on_first is not None:
                self._on_first(time.monotonic())
                self._on_first = None
            if self.device == "cpu":
                begin = time.perf_counter()
                try:
                    return function(*args, **more)
                finally:
                    self._seconds += time.perf_counter() - begin
            event: Any = torch.cuda.Event  # untyped in torch
            first, last = event(enable_timing=True), event(enable_timing=True)
            first.record()
            result = function(*args, **more)
            last.record()
            self._events.append((first, last))
            return result

        return timed

    def take(self) -> float:
        """Seconds since the last call."""
        if self._events:
            self._events[-1][1].synchronize()
            self._seconds += sum(first.elapsed_time(last) for first, last in self._events) / 1000
        seconds, self._seconds, self._events = self._seconds, 0.0, []
        return seconds


class Worker:
    """State between tasks: the member that is loaded.

    Args:
        ensemble: all members.
        device: "cpu" or "cuda:0".
        channel: to the supervisor.
    """

    def __init__(self, ensemble: Ensemble, device: str, channel: Channel) -> None:
        self.ensemble, self.device, self.channel = ensemble, device, channel
        self.loaded: int | None = None
        self.module: Any = None
        self.watch = Stopwatch(device, lambda at: channel.send("first_forward", at=at))

    def run(self, message: Mapping[str, Any]) -> None:
        """Do one task and answer "done" or "failed"."""
        begin = time.monotonic()
        try:
            facts = getattr(self, f"do_{message['op']}")(message)
        except KitError as error:
            full = getattr(error.__cause__, "errno", None) in _DISK_IS_FULL
            self._failed(message, error.problem, fix=error.fix, where=error.where, known=True, full=full)
        except Exception as error:  # noqa: BLE001 - whatever a library raises costs a task, not the run
            text = f"{type(error).__name__}: {error}"
            self._failed(message, text, out_of_memory=_is_out_of_memory(error), trace=traceback.format_exc())
        else:
            self.channel.send("done", begin=begin, end=time.monotonic(), **facts)

    def do_pass(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """One pass over one image."""
        import torch

        from kit.inference import runner

        pass_ = self.ensemble.passes[message["index"]]
        member = self.ensemble.members[pass_.member]
        device = torch.device(self.device)
        load_seconds = 0.0
        if self.loaded != pass_.member:
            begin = time.monotonic()
            self.module, self.loaded = None, None  # two large networks may not fit side by side
            runner.configure(device)
            module = runner.open_member(member, Path(message["weights"]), device)
            entrance = "detect" if self.ensemble.kind == "instance" else "forward"
            setattr(module, entrance, self.watch.wrap(getattr(module, entrance)))
            self.module, self.loaded = module, pass_.member
            load_seconds = time.monotonic() - begin
        self.watch.take()
        last = time.monotonic()

        def on_batch(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _SIGN_OF_LIFE:
                last = time.monotonic()
                self.channel.send("batch", done=done, total=total)

        windows: dict[str, int] = {}

        def on_skipped(skipped: int, total: int) -> None:
            windows.update(skipped=skipped, windows=total)

        file = runner.run_pass(
            self.module,
            member,
            pass_.view,
            message["image"],
            Path(message["path"]),
            Path(message["out"]),
            device=device,
            batch_size=message["batch_size"],
            on_batch=on_batch,
            on_skipped=on_skipped,
            info=ImageInfo(**message["info"]),
        )
        return {"file": str(file), "forward": self.watch.take(), "load": load_seconds, **windows}

    def do_fold(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """One pass's map into the running mean of its image."""
        from submission.runtime.work.running_mean import fold

        fold([Path(file) for file in message["files"]], message["weights"], Path(message["target"]))
        return {"file": message["target"]}

    def do_fuse(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """One image's row of one rung."""
        from kit.competitions import of
        from kit.inference.fusion import PassResult, fuse

        ensemble = ensemble_from(read_json(Path(message["ensemble"])))
        rung = ensemble.rungs[0]
        results = [
            PassResult(file=Path(file), weight=weight, member=ensemble.members[pass_.member])
            for file, weight, pass_ in zip(message["files"], rung.weights, ensemble.passes, strict=True)
        ]
        height, width = message["size"]
        info = ImageInfo(**message["info"])
        prediction = fuse(
            results, rung.settings, (height, width), kind=ensemble.kind, image_id=message["image"], info=info
        )
        row = of(ensemble).row(message["image"], prediction)
        write_json(Path(message["row"]), row)
        return {"file": message["row"]}

    def do_validate(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A finished submission file."""
        from kit.competitions import of

        sizes = {
            image: (height, width) for image, (height, width) in read_json(Path(message["sizes"])).items()
        }
        report = of(self.ensemble).validate(Path(message["file"]), list(sizes), sizes)
        findings = [{"level": finding.level, "text": str(finding)} for finding in report.findings]
        return {"ok": report.ok, "findings": findings[:20]}

    def _failed(self, message: Mapping[str, Any], problem: str, *, known: bool = False, **facts: Any) -> None:
        stage = "memory" if facts.pop("out_of_memory", False) else "forward" if known else "error"
        if facts.pop("full", False):
            stage = "disk"
        elif message["op"] == "pass":
            if unreadable := _unreadable(Path(message["path"])):
                stage, problem = "image", unreadable
            elif self.loaded is None and stage == "forward":
                stage = "load"
        self.channel.send("failed", stage=stage, problem=problem, **facts)
        if self.device != "cpu" and not known:
            # A CUDA error leaves the process's context unusable: a fresh process goes on.
            sys.exit(1)


def _unreadable(path: Path) -> str | None:
    """Why an image cannot be read to its end, None if it can: tells a bad image from a bad network."""
    from kit.images.slide import open_slide

    try:
        with open_slide(path) as slide:
            for y0 in range(0, slide.height, 1024):
                slide.read_band(y0, min(y0 + 1024, slide.height))
    except KitError as error:
        return error.problem
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    from kit.inference.forward import is_out_of_memory

    return is_out_of_memory(error)


def _warm_up() -> None:
    """Import what only needs the image, while the bundle is still being verified and installed."""
    with contextlib.suppress(ImportError):  # a task that needs it will say so
        importlib.import_module("torchvision")  # half of what importing a network's libraries takes
        importlib.import_module("kit.inference.runner")


def _die_with(parent: int) -> None:
    """End when the supervisor does, however it ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def serve(ensemble: Ensemble, device: str, parent: int) -> int:
    """Work until stdin ends.

    Args:
        ensemble: all members.
        device: "cpu" or "cuda:0".
        parent: process id of the supervisor.
    """
    _die_with(parent)
    channel = Channel()
    try:
        facts = check(device)
    except KitError as error:
        channel.send("unusable", problem=error.problem, fix=error.fix)
        return 1
    channel.send("ready", **facts)
    _warm_up()
    worker = Worker(ensemble, device, channel)
    for line in sys.stdin:
        importlib.invalidate_caches()  # the folder with the bundle's packages may have been filled meanwhile
        worker.run(json.loads(line))
    return 0
