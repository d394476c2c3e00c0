"""predict.py's options. On Kaggle none is needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from kit.command_line import option
from kit.errors import KitError
from kit.typed_json import above, at_least, at_most

DEFAULT_BUDGET = 30600.0
"""Seconds, 8.5 hours: half an hour less than most competitions allow. A number, as `submit` reads it."""
HIDDEN_IMAGES: int | None = None
HIDDEN_MEGAPIXELS: float | None = None
"""Size of the hidden test set; `render` writes other values, None leaves it to the competition."""
LONGEST = 30 * 86400
"""Seconds; the system calls that wait have a limit, and no competition runs for a month."""
_LONGEST_STALL = 300.0
_SHORTEST_STALL = 20.0

Seconds = Annotated[float, above(0), at_most(LONGEST)]
Count = Annotated[int, at_least(1)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a run may be told.

    Attributes:
        input: folder like /kaggle/input.
        output: folder for submission.csv and report.json.
        budget: seconds from process start until the process has ended.
        device: "auto", "cpu" or "cuda"; a worker's may have a number, "cuda:1".
        workers: number of processes; None: one per GPU or core.
        batch_size: replaces the ensemble's; None: as tuned.
        stall: seconds without a sign of life after which a worker counts as stuck; None: by the budget.
        dry_run: seconds of measuring for the forecast of the hidden run; None: by the budget, on Kaggle only.
        hidden_images: of the hidden test set; None: as the competition says.
        hidden_megapixels: of all hidden images together; None: as the competition says.
    """

    input: Path = field(
        default=Path("/kaggle/input"), metadata=option("folder with the mounts", metavar="DIR")
    )
    output: Path = field(
        default=Path("/kaggle/working"),
        metadata=option("folder for submission.csv, report.json", metavar="DIR"),
    )
    budget: Seconds = field(
        default=DEFAULT_BUDGET, metadata=option("seconds from start to end", metavar="SECONDS")
    )
    device: str = field(default="auto", metadata=option("auto, cpu or cuda"))
    workers: Count | None = field(
        default=None,
        metadata=option("number of processes (default: one per GPU, else one per core)", metavar="N"),
    )
    batch_size: Count | None = field(
        default=None, metadata=option("instead of the ensemble's own batch sizes", metavar="N")
    )
    stall: Seconds | None = field(
        default=None,
        metadata=option("replace a worker that was silent for this many seconds", metavar="SECONDS"),
    )
    dry_run: Annotated[float, at_least(0), at_most(LONGEST)] | None = field(
        default=None,
        metadata=option("measure at most so long, then forecast the hidden run; 0: don't", metavar="SECONDS"),
    )
    hidden_images: Count | None = field(
        default=HIDDEN_IMAGES, metadata=option("number of hidden images", metavar="N")
    )
    hidden_megapixels: Annotated[float, above(0)] | None = field(
        default=HIDDEN_MEGAPIXELS, metadata=option("of all hidden images together", metavar="MP")
    )

    @property
    def longest_silence(self) -> float:
        """Seconds after which a silent worker is replaced: a quarter of the budget, within 20 s and 300 s."""
        # Budgets of 60 s, 600 s and 8 h give 20 s, 150 s and 300 s.
        return self.stall or max(_SHORTEST_STALL, min(_LONGEST_STALL, self.budget / 4))


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """Predict a Kaggle competition's test images offline, within a time budget."""

    options: Options
    explain: bool = field(default=False, metadata=option("print the plan and run nothing"))
    check_imports: Path | None = field(default=None, metadata=option("try all imports", hidden=True))
    worker: int | None = field(default=None, metadata=option("serve that process", hidden=True))

    def __post_init__(self) -> None:
        if self.worker is None and self.options.device not in {"auto", "cpu", "cuda"}:
            problem = f"device is {self.options.device!r}"
            raise KitError(problem, where="--device", fix="choose auto, cpu or cuda")
