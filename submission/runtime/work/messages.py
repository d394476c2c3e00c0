"""The messages between the supervisor and its workers. They are written and read only here.

A message is one line of JSON with the name of its class: {"message": "FirstForward", "at": 12.5}.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.plan.tasks import Stage
from kit.typed_json import from_plain, to_plain
from submission.runtime.work.device import DeviceFacts

# A pipe holds 64 KiB. A longer line would block the supervisor until the worker reads it, which a stopped
# worker never does. The longest request fuses 64 passes. With complete paths (200 bytes) and members (1 kB
# each) it would have 80 kB; so it names rung and passes by their index in the ensemble that every worker has,
# and gives the folder and the file name that all results share only once:
#     <folder>/passes/member3-0c5e.../hflip/<name>        place = "passes/member3-0c5e.../hflip"
LONGEST_MESSAGE = 1 << 15
"""Bytes that a request may have."""
_NAME = "message"


@dataclass(frozen=True, kw_only=True)
class PassRequest:
    """Run one pass over one image.

    Attributes:
        index: of the pass in the ensemble.
        image: id of the image.
        path: of the image file.
        weights: path of the member's weights.
        out: root folder of all results of passes.
        batch_size: instead of the member's own, None: the member's own.
        info: what is known of the image.
        halvings: of the windows' side, as memory does not hold one.
        confident: file with the image's confident blocks, whose windows are skipped; None: none is.
    """

    index: int
    image: str
    path: str
    weights: str
    out: str
    batch_size: int | None
    info: ImageInfo
    halvings: int = 0
    confident: str | None = None


@dataclass(frozen=True, kw_only=True)
class MeanRequest:
    """Write the weighted mean of stored maps.

    Attributes:
        files: the maps.
        weights: one per map.
        target: path of the mean.
    """

    files: tuple[str, ...]
    weights: tuple[float, ...]
    target: str


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """A result that a row is fused from.

    Attributes:
        index: of its pass in the ensemble.
        place: its folder, below the request's folder.
        weight: of the pass in the rung.
    """

    index: int
    place: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class FuseRequest:
    """Make one image's row of one rung.

    Attributes:
        rung: index of the rung, whose settings are used.
        image: id of the image.
        size: (height, width) of the image.
        info: what is known of the image.
        folder: holds the places of all results.
        name: file name that all results have.
        results: in the order of the passes.
        row: path of the row.
        confident: file for the confident blocks, of a rung that keeps them.
    """

    rung: int
    image: str
    size: tuple[int, int]
    info: ImageInfo
    folder: str
    name: str
    results: tuple[StoredResult, ...]
    row: str
    confident: str

    def file(self, result: StoredResult) -> Path:
        """Return the path of a result."""
        return Path(self.folder, result.place, self.name)


@dataclass(frozen=True, kw_only=True)
class ValidateRequest:
    """Validate a submission file.

    Attributes:
        file: path of the file.
        sizes: path of a JSON file: id -> (height, width) of every image.
    """

    file: str
    sizes: str


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Read files ahead, while the task goes on: the next one will probably need them. It has no reply.

    Attributes:
        files: weights, or a folder with their parts, and an image.
    """

    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """The worker has imported torch, and its device computes."""

    device: DeviceFacts


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """The worker's device does not compute; the worker ends."""

    problem: str
    fix: str | None


@dataclass(frozen=True, kw_only=True)
class FirstForward:
    """The worker starts its first forward pass, at this monotonic time."""

    at: float


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The worker has done so many windows of its pass; this is a sign of life."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class PassDone:
    """The result of a pass over an image is stored.

    Attributes:
        begin: monotonic time.
        end: monotonic time.
        file: path of the result.
        forward: seconds inside the network.
        load: seconds that loading the member took; 0 if it was loaded.
        imports: seconds that importing its libraries took; 0 if the process had them.
        skipped: windows without tissue, None if the member does not skip them.
        windows: all windows, None if the member skips none.
        notes: what the reader of the image left out, cut or assumed.
        remarks: what a library of the bundle says of itself.
        mark: of the content, equal for equal results.
        plain: the result is the same everywhere, or holds no detection.
        halvings: of the windows' side.
        gpu_bytes: that torch has taken of the GPU so far at most; None on the CPU.
        left: share of the windows that were looked at; the others show confident blocks alone.
    """

    begin: float
    end: float
    file: str
    forward: float
    load: float
    imports: float = 0.0
    skipped: int | None = None
    windows: int | None = None
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    mark: int = 0
    plain: bool = False
    halvings: int = 0
    gpu_bytes: int | None = None
    left: float = 1.0


@dataclass(frozen=True, kw_only=True)
class MeanDone:
    """A mean of maps is stored."""

    begin: float
    end: float
    file: str


@dataclass(frozen=True, kw_only=True)
class RowDone:
    """A row is stored, and the doubt of its prediction is known (`kit.inference.*_doubt`).

    Attributes:
        begin: monotonic time.
        end: monotonic time.
        file: path of the row.
        doubt: of the prediction.
        left: for each member the share of its windows that later passes have to look at; empty for all.
    """

    begin: float
    end: float
    file: str
    doubt: float
    left: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the validator found: "error", "alarm" or "note", and the sentence."""

    level: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A submission file was validated."""

    begin: float
    end: float
    ok: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A task failed.

    Attributes:
        stage: what failed.
        problem: in words; of an unexpected error, its type and message.
        trace: the traceback, if there is one.
        ends: the worker ends after this message.
    """

    stage: Stage
    problem: str
    trace: str | None = None
    ends: bool = False


@dataclass(frozen=True, kw_only=True)
class Exited:
    """The process ended. The supervisor notes this itself; no worker sends it.

    Attributes:
        code: exit code, negative for a signal, None if it cannot be known.
    """

    code: int | None


Request = PassRequest | MeanRequest | FuseRequest | ValidateRequest
ToWorker = Request | Prepare
Done = PassDone | MeanDone | RowDone | Validated
Reply = Ready | Unusable | FirstForward | Progress | Done | Failed

_REQUESTS: dict[str, type[ToWorker]] = {
    cls.__name__: cls for cls in (PassRequest, MeanRequest, FuseRequest, ValidateRequest, Prepare)
}
_REPLIES: dict[str, type[Reply]] = {
    cls.__name__: cls
    for cls in (Ready, Unusable, FirstForward, Progress, PassDone, MeanDone, RowDone, Validated, Failed)
}


def to_line(message: ToWorker | Reply) -> bytes:
    """Return a message as one line."""
    return json.dumps({_NAME: type(message).__name__, **to_plain(message)}).encode() + b"\n"


def read_request(line: str | bytes) -> ToWorker:
    """Return what a line asks a worker for.

    Raises:
        KitError: the line holds no request.
    """
    try:
        value = json.loads(line)
        cls = _REQUESTS[value.pop(_NAME)]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise KitError(
            f"a line on stdin is not a request: {line[:80]!r}",
            where="--worker",
            fix="start predict.py without --worker; only its supervisor uses that option",
        ) from error
    return from_plain(cls, value, where="--worker")


def read_reply(line: str | bytes) -> Reply | None:
    """Return the reply in a line, None if it holds none.

    An image's start-up hooks may print something before the worker takes stdout for itself.
    """
    # Whatever the line is, it must not end the run: JSON of other programs, and broken JSON, is no reply.
    try:
        value = json.loads(line)
        return from_plain(_REPLIES[value.pop(_NAME)], value)
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError, KitError):
        return None
