"""Run passes: for workers on Kaggle, and for the out-of-fold predictions of training.

The way to a prediction:

    configure(device)                                          once per process
    module = open_member(member, weights_path, device)         once per member
    path = run_pass(module, member, view, image_id, image_path, out, device=device, on_batch=...)
    fused = fuse([PassResult(file=path, weight=1.0, member=member), ...], rung.settings, (height, width),
                 kind="semantic", image_id=image_id)

`run_pass` writes one file per member, view (or set of views) and image: a probability map or coded
detections. It never computes a finished file again, so any process may be killed and started again. The path
has a hash of weights, network, settings and pixel size, so that a file of other weights is never used. `fuse`
(`kit.inference.fusion`, which needs no torch) reads these files.

On the CPU, each process computes with one thread and in float32. Sums then have one order, and results do not
depend on the number of processes or cores. On CUDA, float16 autocast is used if a member's settings have it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from kit.ensemble import Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.images.reading import ColourTiffs
from kit.inference.fusion import PassResult, engine_of, fuse
from kit.inference.image_pass import ImagePass, Progress
from kit.inference.store import pass_file
from kit.memory import keep_freed_memory
from kit.models import Network, build, load_weights, spec_of

if TYPE_CHECKING:
    from kit.images.image_protocols import Reading

__all__ = ["PassResult", "configure", "fuse", "open_member", "result_file", "run_pass"]


def configure(device: torch.device) -> None:
    """Prepare this process: one CPU thread for torch and OpenCV, memory kept, fixed algorithms on CUDA."""
    import cv2  # needed for predicting alone

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def open_member(member: Member, weights: Path, device: torch.device) -> Network:
    """Return the member's module with its weights, in eval mode on the device.

    Raises:
        KitError: the network is unknown, a library is missing, or the weights are missing, damaged, of
            another network or not numbers.
    """
    module = build(member.network)
    load_weights(module, weights)
    for name, tensor in module.network.state_dict().items():
        # Compiled operators of detectors crash the process if boxes are not numbers.
        if not bool(torch.isfinite(tensor).all()):
            raise KitError(
                f"member {member.name}: {name} holds values that are not numbers",
                where=weights,
                fix="that training run diverged: see its log, lower the learning rate and train again",
            )
    module.eval()
    module.to(device)
    if device.type == "cuda" and module.spec.kind == "semantic":
        for parameter in module.parameters():
            if parameter.ndim == 4:  # the order that convolutions on tensor cores need
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def result_file(
    out: Path, member: Member, view: str, image_id: str, *, info: ImageInfo | None = None
) -> Path:
    """Return the path where `run_pass` writes its result; the file exists only when it is complete."""
    return pass_file(out, member, view, image_id, kind=spec_of(member.network).kind, info=info)


def run_pass(  # noqa: PLR0917  # its callers all have these in this order
    module: Network,
    member: Member,
    view: str,
    image_id: str,
    image: Path,
    out: Path,
    *,
    device: torch.device,
    batch_size: int | None = None,
    on_batch: Progress | None = None,
    on_skipped: Progress | None = None,
    on_notes: Callable[[Sequence[str]], None] | None = None,
    info: ImageInfo | None = None,
    confident: Path | None = None,
    on_left: Callable[[float], None] | None = None,
    reading: Reading | None = None,
) -> Path:
    """Run one member under one view over one image, unless the result exists already.

    Args:
        module: module of `open_member`, or of training in eval mode on `device`.
        member: the member; out-of-fold predictions of training give it the sha256 of the weights just
            written.
        view: name of a view, or of a set of views. For a set, the mean of the probabilities, or the
            detections after NMS, are stored.
        image_id: id of the image, for the file's name and messages.
        image: the image file.
        out: root folder of all passes.
        device: device of the module.
        batch_size: replaces that of the settings (semantic only).
        on_batch: called with (done, total) tiles after every forward pass; a tile of an instance network is a
            window, or the image.
        on_skipped: called once with (tiles without tissue, all tiles) if the settings skip background
            (semantic only).
        on_notes: called with what the reader of the image left out, cut or assumed, if there is such a thing.
        info: what is known of the image; its pixel size is used if the settings have one.
        confident: file with the image's confident blocks, whose windows are skipped (semantic only); without
            it, and if it cannot be read, no window is.
        on_left: called once with the share of the windows that is looked at, if blocks were read.
        reading: reads the image, `Competition.reading`; None: it is a TIFF in colour.

    Returns:
        `result_file(out, member, view, image_id, info=info)`.

    Raises:
        KitError: the image cannot be read, results are not numbers, memory runs out with a batch of one, or
            the disk is full; names member and image.
    """
    target = result_file(out, member, view, image_id, info=info)
    if target.is_file():
        return target
    # Imported by name, because predict.py holds only the engine of its own kind.
    engine = importlib.import_module(f"kit.inference.{engine_of(member, module.spec.kind)}")
    with (reading or ColourTiffs()).open(image) as slide:
        if slide.notes and on_notes is not None:
            on_notes(slide.notes)
        engine.run_pass(
            module,
            ImagePass(
                member=member,
                view=view,
                source=slide,
                target=target,
                device=device,
                where=f"member {member.name}, view {view}, image {image_id}",
                batch_size=batch_size,
                info=info,
                confident=confident,
                on_batch=on_batch,
                on_skipped=on_skipped,
                on_left=on_left,
            ),
        )
    return target
