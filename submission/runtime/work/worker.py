"""The process that computes: reads requests from stdin, sends replies to stdout.

It imports torch and checks its device at once, while the supervisor still verifies and installs the bundle.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from kit.artefacts import read_json, write_json
from kit.ensemble import Ensemble
from kit.errors import KitError
from submission.runtime.plan.tasks import Stage
from submission.runtime.work.device import check
from submission.runtime.work.messages import (
    Done,
    Failed,
    Finding,
    FirstForward,
    FuseRequest,
    MeanDone,
    MeanRequest,
    PassDone,
    PassRequest,
    Progress,
    Ready,
    Reply,
    Request,
    RowDone,
    Unusable,
    Validated,
    ValidateRequest,
    read_request,
    to_line,
)
from submission.runtime.work.stopwatch import Stopwatch

_SIGN_OF_LIFE = 0.5
"""Seconds between two messages of progress."""
_MOST_FINDINGS = 20
_BAND_ROWS = 1024
_DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Channel:
    """The way to the supervisor: the process's first stdout. What libraries print goes to stderr."""

    def __init__(self) -> None:
        # From here on, file 1 is stderr: a library's print, even one from C, cannot get between two messages.
        self._stream: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        # A start-up hook may have printed half a line; the first message must not be glued to it.
        self._stream.write(b"\n")

    def send(self, reply: Reply) -> None:
        """Send one message."""
        self._stream.write(to_line(reply))
        self._stream.flush()


class Worker:
    """Does tasks; between two tasks the member stays loaded.

    Args:
        ensemble: of the script.
        device: "cpu" or "cuda:0".
        channel: to the supervisor.

    Attributes:
        loaded: index of the member in `module`, None if none is loaded.
        module: its network.
    """

    def __init__(self, ensemble: Ensemble, device: str, channel: Channel) -> None:
        self.ensemble, self.device, self.channel = ensemble, device, channel
        self.loaded: int | None = None
        self.module: Any = None
        self.stopwatch = Stopwatch(device, lambda at: channel.send(FirstForward(at=at)))

    def handle(self, request: Request) -> None:
        """Do one task and reply that it is done or has failed."""
        try:
            done = self._do(request)
        except KitError as error:
            self.channel.send(self._known_failure(request, error))
        except Exception as error:  # noqa: BLE001 - whatever a library raises costs a task, not the run
            self.channel.send(self._unexpected_failure(request, error))
            if self.device != "cpu":
                # A CUDA error leaves the process's context unusable: the supervisor starts a new process.
                sys.exit(1)
        else:
            self.channel.send(done)

    def _do(self, request: Request) -> Done:
        match request:
            case PassRequest():
                return self._run_pass(request)
            case MeanRequest():
                return self._average(request)
            case FuseRequest():
                return self._fuse(request)
            case ValidateRequest():
                return self._validate(request)

    def _run_pass(self, request: PassRequest) -> PassDone:
        # Import here, not at the top: the bundle's libraries may not be installed when the worker starts.
        import torch

        from kit.inference import runner

        begin = time.monotonic()
        pass_ = self.ensemble.passes[request.index]
        load_seconds = self._load(pass_.member, Path(request.weights))
        self.stopwatch.take()
        last = time.monotonic()

        def on_batch(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _SIGN_OF_LIFE:
                last = time.monotonic()
                self.channel.send(Progress(done=done, total=total))

        windows: dict[str, int] = {}

        def on_skipped(skipped: int, total: int) -> None:
            windows.update(skipped=skipped, windows=total)

        file = runner.run_pass(
            self.module,
            self.ensemble.members[pass_.member],
            pass_.view,
            request.image,
            Path(request.path),
            Path(request.out),
            device=torch.device(self.device),
            batch_size=request.batch_size,
            on_batch=on_batch,
            on_skipped=on_skipped,
            info=request.info,
        )
        return PassDone(
            begin=begin,
            end=time.monotonic(),
            file=str(file),
            forward=self.stopwatch.take(),
            load=load_seconds,
            **windows,
        )

    def _load(self, member: int, weights: Path) -> float:
        """Load a member if it is not loaded, and return the seconds that took."""
        import torch

        from kit.inference import runner

        if self.loaded == member:
            return 0.0
        begin = time.monotonic()
        device = torch.device(self.device)
        self.module, self.loaded = None, None  # two large networks may not fit side by side
        runner.configure(device)
        module = runner.open_member(self.ensemble.members[member], weights, device)
        # Detectors are called by `detect`, the others by the module itself, which calls `forward`.
        entrance = "detect" if self.ensemble.kind == "instance" else "forward"
        setattr(module, entrance, self.stopwatch.wrap(getattr(module, entrance)))
        self.module, self.loaded = module, member
        return time.monotonic() - begin

    def _average(self, request: MeanRequest) -> MeanDone:
        from submission.runtime.work.running_mean import write_mean

        begin = time.monotonic()
        write_mean([Path(file) for file in request.files], request.weights, Path(request.target))
        return MeanDone(begin=begin, end=time.monotonic(), file=request.target)

    def _fuse(self, request: FuseRequest) -> RowDone:
        from kit.competitions import of
        from kit.inference.fusion import PassResult, fuse

        begin = time.monotonic()
        members, passes = self.ensemble.members, self.ensemble.passes
        prediction = fuse(
            [
                PassResult(
                    file=request.file(result),
                    weight=result.weight,
                    member=members[passes[result.index].member],
                )
                for result in request.results
            ],
            self.ensemble.rungs[request.rung].settings,
            request.size,
            kind=self.ensemble.kind,
            image_id=request.image,
            info=request.info,
        )
        write_json(Path(request.row), of(self.ensemble).row(request.image, prediction))
        return RowDone(begin=begin, end=time.monotonic(), file=request.row)

    def _validate(self, request: ValidateRequest) -> Validated:
        from kit.competitions import of

        begin = time.monotonic()
        sizes = {image: (height, width) for image, (height, width) in read_json(Path(request.sizes)).items()}
        report = of(self.ensemble).validate(Path(request.file), list(sizes), sizes)
        findings = [Finding(level=finding.level, text=str(finding)) for finding in report.findings]
        return Validated(
            begin=begin, end=time.monotonic(), ok=report.ok, findings=tuple(findings[:_MOST_FINDINGS])
        )

    def _known_failure(self, request: Request, error: KitError) -> Failed:
        # First the disk, then the image, then the member: a full disk would make any image look unreadable.
        if getattr(error.__cause__, "errno", None) in _DISK_IS_FULL:
            return Failed(stage="disk", problem=error.problem)
        if isinstance(request, PassRequest) and self.loaded is None:
            return self._blame_the_image(request, Failed(stage="load", problem=error.problem))
        return self._blame_the_image(request, Failed(stage="forward", problem=error.problem))

    def _unexpected_failure(self, request: Request, error: Exception) -> Failed:
        from kit.inference.forward import is_out_of_memory

        stage: Stage = "memory" if is_out_of_memory(error) else "error"
        trace = "".join(traceback.format_exception(error))
        failed = Failed(stage=stage, problem=f"{type(error).__name__}: {error}", trace=trace)
        return self._blame_the_image(request, failed)

    def _blame_the_image(self, request: Request, failed: Failed) -> Failed:
        """Return the failure, or that the image cannot be read to its end, if that is why a pass failed."""
        reason = _unreadable(Path(request.path)) if isinstance(request, PassRequest) else None
        return failed if reason is None else Failed(stage="image", problem=reason, trace=failed.trace)


def _unreadable(path: Path) -> str | None:
    """Say why an image cannot be read to its end, None if it can: tells a bad image from a bad network."""
    from kit.images.slide import open_slide

    try:
        with open_slide(path) as slide:
            for y0 in range(0, slide.height, _BAND_ROWS):
                slide.read_band(y0, min(y0 + _BAND_ROWS, slide.height))
    except KitError as error:
        return error.problem
    return None


def _warm_up() -> None:
    """Import what only needs the image, while the bundle is still being verified and installed."""
    with contextlib.suppress(Exception):  # a task that needs it will fail with the reason
        importlib.import_module("torchvision")  # half of the time that a network's libraries take
        importlib.import_module("kit.inference.runner")


def _end_with(parent: int) -> None:
    """Make the kernel kill this process when the supervisor ends, however it ends."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def serve(ensemble: Ensemble, device: str, parent: int) -> int:
    """Work until stdin ends.

    Args:
        ensemble: of the script.
        device: "cpu" or "cuda:0".
        parent: process id of the supervisor.

    Returns:
        The exit code.
    """
    _end_with(parent)
    channel = Channel()
    try:
        facts = check(device)
    except KitError as error:
        channel.send(Unusable(problem=error.problem, fix=error.fix))
        return 1
    channel.send(Ready(device=facts))
    _warm_up()
    worker = Worker(ensemble, device, channel)
    for line in sys.stdin:
        importlib.invalidate_caches()  # the folder with the bundle's packages may have been filled meanwhile
        worker.handle(read_request(line))
    return 0
