"""A run's log for people: `log.jsonl` with one object per line, and the same numbers for TensorBoard."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from kit.artefacts import write_text
from kit.local.sidecars import read_json_lines

NAME = "log.jsonl"


class Log:
    """Appends to both logs of a run.

    Every line has `step` (optimiser steps taken) and `seconds` (of training so far, over all starts);
    training lines add `loss`, its terms as `loss/NAME`, and `lr`; evaluations add `metric` and its name as
    `metric_name`.

    Args:
        folder: of the run.
        step: the run goes on from here; lines that an interrupted process logged beyond it are removed.
        config: of the run; TensorBoard shows it as text.
    """

    def __init__(self, folder: Path, *, step: int, config: Mapping[str, Any] | None = None) -> None:
        self._path = folder / NAME
        # Killed at step 317 after the checkpoint of step 300: the lines of 310 are removed, since the run
        # goes on from 300 and writes them again.
        # A line that somebody spoilt is no reason not to go on.
        found = [entry for entry in read_json_lines(self._path) if isinstance(entry, dict)]
        kept = [entry for entry in found if isinstance(at := entry.get("step"), int) and at <= step]
        write_text(self._path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        if config is not None:
            # TensorBoard reads Markdown, in which lines that are indented by four are shown as they are.
            lines = json.dumps(config, indent=1, ensure_ascii=False).splitlines()
            self._writer.add_text("config", "\n".join(f"    {line}" for line in lines), step)

    def __enter__(self) -> Self:
        self._stream = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._writer.close()

    def write(self, step: int, **values: float | str) -> None:
        """Write one line, and its numbers as TensorBoard scalars."""
        self._stream.write(json.dumps({"step": step, **values}) + "\n")
        self._stream.flush()
        for name, value in values.items():
            if not isinstance(value, str):
                self._writer.add_scalar(name, value, step)

    def watch(self, step: int, **values: float | None) -> None:
        """Write what differs from start to start, such as speed and memory: for TensorBoard alone.

        `log.jsonl` is the same whether a run was interrupted or not, but for the seconds.
        """
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(f"process/{name}", value, step)

    def show(self, step: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Write pictures, RGB (H, W, 3), for TensorBoard."""
        for name, picture_HWC in pictures.items():
            self._writer.add_image(name, picture_HWC, step, dataformats="HWC")

    def sync(self) -> None:
        """Write the lines through to disk; call this before a checkpoint, which must not be ahead of it."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
