"""Run the probe where the target is: in a kernel on Kaggle, or on this machine."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from bundle.probe import observed
from bundle.probe.observed import Observed
from kit.errors import KitError
from kit.local.kaggle import kernel_runs, kernel_state, kernels
from kit.local.kaggle.kernel_metadata import Kernel
from kit.local.kaggle.wire import Wire

NAME = "observed.json"
_LONGEST = 900
"""Seconds of a session that only looks around; Kaggle ends it then, so that it costs no more quota."""


def source() -> Path:
    """Return the path of the probe's source, which runs without the kit."""
    return Path(str(files(__package__))) / "probe_kernel.py"


def here(python: str = sys.executable) -> Observed:
    """Return what the probe sees on this machine.

    Args:
        python: interpreter whose packages are looked at.

    Raises:
        KitError: the probe failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        # `-I`: the user's PYTHON* variables and this folder's modules are no part of the image.
        command = [python, "-I", str(source()), "--out", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise KitError(
                f"{python} cannot be started: {error}", where="--python", fix="give the path of a Python"
            ) from error
        if done.returncode != 0:
            raise KitError(
                f"the probe failed: {done.stderr.strip()[-500:]}", where=source(), fix="run that file by hand"
            )
        return observed.load(Path(folder) / NAME)


def on_kaggle(
    wire: Wire,
    *,
    owner: str,
    title: str,
    accelerator: str | None,
    image: str | None,
    folder: Path,
    say: Callable[[str], None],
) -> Observed:
    """Push the probe as a kernel, wait for it and return what it saw.

    Args:
        wire: to Kaggle.
        owner: Kaggle user name.
        title: of the kernel; the same title is the same kernel, with one more version.
        accelerator: Kaggle's name of the machine; None for a CPU session.
        image: container reference with digest; None for Kaggle's present default.
        folder: for the kernel's state and its output.
        say: takes progress.

    Raises:
        KitError: as `kernels.push`, `kernel_runs.wait` and `kernel_runs.output`; or the session did not have
            the machine or image that was asked for.
    """
    kernel = Kernel(
        owner=owner,
        title=title,
        source=source(),
        kind="script",
        accelerator=accelerator,
        image=image,
        timeout_s=_LONGEST,
    )
    state = kernel_state.state_file(folder, kernel.id)
    # The image may be another one than at the last probe, so a finished run is no answer.
    pushed = kernels.push(wire, kernel, state, reuse_finished=False, say=say)
    say(f"version {pushed.version} runs: {pushed.url}")
    kernel_runs.wait(wire, pushed, lambda line: say(f"  {line}"))
    place = folder / f"{state.name.removesuffix('.kernel.json')}-v{pushed.version}"
    fetched = kernel_runs.output(wire, pushed, place)
    found = [path for path in fetched if path.name == NAME]
    if len(found) != 1:
        raise KitError(
            f"the probe wrote no {NAME}",
            where=pushed.url,
            fix="read the run's log on that page, then probe again",
        )
    seen = observed.load(found[0])
    _require_same(seen, accelerator, image, pushed.url)
    return seen


def _require_same(seen: Observed, accelerator: str | None, image: str | None, url: str) -> None:
    """Refuse an answer from another machine: its facts would be taken for those of the one asked for."""
    has_gpu = bool(seen.torch.gpus) or seen.driver is not None
    if (accelerator or "").startswith("Nvidia") != has_gpu:
        raise KitError(
            f"{accelerator or 'a CPU session'} was asked for, and the session "
            f"{'has' if has_gpu else 'has no'} NVIDIA GPU",
            where=url,
            fix="look at the accelerator on that page; your account may not be allowed to use it",
        )
    if (
        image is not None
        and seen.image is not None
        and seen.image.rpartition("@")[2] != image.rpartition("@")[2]
    ):
        raise KitError(
            f"the session ran in {seen.image}, and {image} was asked for",
            where=url,
            fix="Kaggle may no longer offer that image; probe without --image",
        )
