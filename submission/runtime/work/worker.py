"""The process that computes: reads requests from stdin, sends replies to stdout.

It imports torch and checks its device at once, while the supervisor still verifies and installs the bundle.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO

from kit.artefacts import read_json, write_json
from kit.competitions import folder_of
from kit.ensemble import Ensemble
from kit.errors import KitError
from kit.plan.tasks import Stage
from submission.runtime.result import wording
from submission.runtime.work.ahead import ReadAhead
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
    Prepare,
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

if TYPE_CHECKING:
    from kit.images.image_protocols import Reading

_SIGN_OF_LIFE = 0.5
"""Seconds between two messages of progress."""
_MOST_FINDINGS = 20
_BAND_ROWS = 1024
_LONGEST_PROBLEM = 500
_NEEDS_LESS = "fewer workers (--workers) or a smaller --batch-size need less memory"
_KILL_FIRST = "800"
"""Of 1000. When memory runs out, the kernel ends the process with the highest: never the supervisor."""
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
        reading: reads the images.
        module: its network.
    """

    def __init__(self, ensemble: Ensemble, device: str, channel: Channel) -> None:
        self.ensemble, self.device, self.channel = ensemble, device, channel
        self.loaded: int | None = None
        self.module: Any = None
        self._imported: set[Any] = set()
        self.reading = folder_of(ensemble).reading
        self.stopwatch = Stopwatch(device, lambda at: channel.send(FirstForward(at=at)))

    def handle(self, request: Request) -> None:
        """Do one task and reply that it is done or has failed."""
        reply: Done | Failed
        try:
            reply = self._do(request)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a library raises costs a task only
            reply = self._failure(request, error)
        # A CUDA error leaves the process's context unusable, and memory that was needed once is kept: the
        # supervisor starts a new process.
        lasting = isinstance(reply, Failed) and bool(reply.trace and self.device != "cpu")
        ends = lasting or (isinstance(reply, Failed) and reply.stage == "memory")
        self.channel.send(replace(reply, ends=True) if isinstance(reply, Failed) and ends else reply)
        if ends:
            sys.exit(1)

    def _do(self, request: Request) -> Done:
        match request:
            case PassRequest():
                return self._run_pass(request)
            case MeanRequest():
                return _average(request)
            case FuseRequest():
                return self._fuse(request)
            case ValidateRequest():
                return _validate(self.ensemble, request)

    def _run_pass(self, request: PassRequest) -> PassDone:
        # Import here, not at the top: the bundle's libraries may not be installed when the worker starts.
        import torch

        from kit.inference import runner
        from kit.inference.smaller_windows import with_smaller_windows
        from kit.inference.store import mark_of

        begin = time.monotonic()
        pass_ = self.ensemble.passes[request.index]
        imports = _import_for(self.ensemble.members[pass_.member].network, self._imported)
        load_seconds = self._load(pass_.member, Path(request.weights))
        self.stopwatch.take()
        last = time.monotonic()

        def on_batch(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _SIGN_OF_LIFE:
                last = time.monotonic()
                self.channel.send(Progress(done=done, total=total))

        windows: dict[str, int] = {}
        notes: list[str] = []

        def on_skipped(skipped: int, total: int) -> None:
            windows.update(skipped=skipped, windows=total)

        left = [1.0]

        file = runner.run_pass(
            self.module,
            with_smaller_windows(self.ensemble.members[pass_.member], request.halvings),
            pass_.view,
            request.image,
            Path(request.path),
            Path(request.out),
            device=torch.device(self.device),
            batch_size=request.batch_size,
            on_batch=on_batch,
            on_skipped=on_skipped,
            on_notes=notes.extend,
            info=request.info,
            confident=None if request.confident is None else Path(request.confident),
            on_left=left.append,
            reading=self.reading,
        )
        if request.halvings:
            notes.append(wording.in_smaller_windows(request.halvings))
        mark, plain = mark_of(file)
        return PassDone(
            mark=mark,
            plain=plain,
            halvings=request.halvings,
            left=left[-1],
            begin=begin,
            end=time.monotonic(),
            file=str(file),
            forward=self.stopwatch.take(),
            load=load_seconds,
            imports=imports,
            notes=tuple(notes),
            gpu_bytes=None if self.device == "cpu" else torch.cuda.max_memory_reserved(self.device),
            remarks=tuple(getattr(sys.modules.get("mmcv._ext"), "TOLD", ())),
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

    def _fuse(self, request: FuseRequest) -> RowDone:
        from kit.competitions import of
        from kit.inference.fusion import KeepConfident, PassResult, fuse

        begin = time.monotonic()
        members, passes = self.ensemble.members, self.ensemble.passes
        rung, keep = self.ensemble.rungs[request.rung], None
        if rung.skip is not None:
            keep = KeepConfident(below=rung.skip.below, file=Path(request.confident), members=members)
        fused = fuse(
            [
                PassResult(
                    file=request.file(result),
                    weight=result.weight,
                    member=members[passes[result.index].member],
                )
                for result in request.results
            ],
            rung.settings,
            request.size,
            kind=self.ensemble.kind,
            image_id=request.image,
            info=request.info,
            keep=keep,
        )
        write_json(Path(request.row), of(self.ensemble).rows(request.image, fused.prediction))
        return RowDone(
            begin=begin, end=time.monotonic(), file=request.row, doubt=fused.doubt, left=fused.left
        )

    def _failure(self, request: Request, error: BaseException) -> Failed:
        """Return what failed: memory, the disk, the image, the member or a library."""
        try:
            from kit.inference.forward import is_out_of_memory

            causes = [error]
            while (
                cause := causes[-1].__cause__ or causes[-1].__context__
            ) is not None and cause not in causes:
                causes.append(cause)
            known = isinstance(error, KitError)
            trace = None if known else "".join(traceback.format_exception(error))
            problem = error.problem if isinstance(error, KitError) else _in_words(error)
            if any(is_out_of_memory(cause) for cause in causes):
                return Failed(stage="memory", problem=f"{problem}; {_NEEDS_LESS}", trace=trace)
            numbers = {cause.errno for cause in causes if isinstance(cause, OSError)}
            # First the disk, then the image: a full disk would make any image look unreadable.
            if numbers & _DISK_IS_FULL:
                return Failed(stage="disk", problem=problem, trace=trace)
            if (
                isinstance(request, PassRequest)
                and (bad := _unreadable(Path(request.path), self.reading)) is not None
            ):
                return replace(bad, trace=trace)
            stage: Stage = "forward" if self.loaded is not None else "load"
            # A read that failed may pass the next time; so may one of an image that is read well by now.
            if numbers or not known or getattr(error, "where", None) == getattr(request, "path", ""):
                stage = "error"
            return Failed(stage=stage, problem=problem, trace=trace)
        except MemoryError:
            self.module, self.loaded = None, None
            return Failed(stage="memory", problem=f"MemoryError; {_NEEDS_LESS}")


def _validate(ensemble: Ensemble, request: ValidateRequest) -> Validated:
    from kit.competitions import of

    begin = time.monotonic()
    sizes = {image: (height, width) for image, (height, width) in read_json(Path(request.sizes)).items()}
    report = of(ensemble).validate(Path(request.file), list(sizes), sizes)
    findings = [Finding(level=finding.level, text=str(finding)) for finding in report.findings]
    return Validated(
        begin=begin, end=time.monotonic(), ok=report.ok, findings=tuple(findings[:_MOST_FINDINGS])
    )


def _average(request: MeanRequest) -> MeanDone:
    from submission.runtime.work.running_mean import write_mean

    begin = time.monotonic()
    write_mean([Path(file) for file in request.files], request.weights, Path(request.target))
    return MeanDone(begin=begin, end=time.monotonic(), file=request.target)


def _import_for(network: Mapping[str, Any], known: set[Any]) -> float:
    """Import the libraries of a network that is not among the known ones; return the seconds that took."""
    # A process imports once, and loads with every change of members. Members after the first would be
    # expected to take 7 s instead of 1 s if both were one number. Without storage, building takes little.
    import torch

    from kit.models import build

    begin, name = time.monotonic(), network.get("network")
    if name in known:
        return 0.0
    known.add(name)
    gc.disable()
    with contextlib.suppress(Exception), torch.device("meta"):  # what fails here fails again where it is told
        build(network)
    gc.enable()
    return time.monotonic() - begin


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]


def _unreadable(path: Path, reading: Reading) -> Failed | None:
    """Say why an image cannot be read to its end, None if it can: tells a bad image from a bad network."""
    try:
        with reading.open(path) as slide:
            for y0 in range(0, slide.height, _BAND_ROWS):
                slide.read_band(y0, min(y0 + _BAND_ROWS, slide.height))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises, it is this image
        failed_read = isinstance(error, OSError) or isinstance(error.__cause__, OSError)
        problem = error.problem if isinstance(error, KitError) else _in_words(error)
        return Failed(stage="read" if failed_read else "image", problem=problem)
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


def serve(ensemble: Ensemble, device: str, parent: int, make: type[Worker] = Worker) -> int:
    """Work until stdin ends.

    Args:
        ensemble: of the script.
        device: "cpu" or "cuda:0".
        parent: process id of the supervisor.
        make: the kind of worker.

    Returns:
        The exit code.
    """
    _end_with(parent)
    channel = Channel()
    faulthandler.enable()  # a segmentation fault leaves the lines of Python that led to it
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, encoding="ascii")
    gc.disable()  # it would look through all that is imported again and again
    try:
        facts = check(device)
    except KitError as error:
        channel.send(Unusable(problem=error.problem, fix=error.fix))
        return 1
    channel.send(Ready(device=facts))
    _warm_up()
    gc.enable()
    worker = make(ensemble, device, channel)
    lines: SimpleQueue[Request | KitError | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while (request := lines.get()) is not None:
        if isinstance(request, KitError):
            raise request
        importlib.invalidate_caches()  # the folder with the bundle's packages may have been filled meanwhile
        worker.handle(request)
    return 0


def _listen(requests: SimpleQueue[Request | KitError | None]) -> None:
    """Queue the requests that arrive until stdin ends; read ahead at once, beside the task."""
    # `sys.stdin` has a lock: a thread that waits in it would make Python abort at its end.
    ahead, rest = ReadAhead(), b""
    try:
        while data := os.read(0, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for request in map(read_request, lines):
                if isinstance(request, Prepare):
                    ahead.begin(request.files)
                else:
                    requests.put(request)
        requests.put(None)
    except KitError as error:
        requests.put(error)
