"""One place that runs a pass, used by the worker on Kaggle and by training's out-of-fold predictions alike.

The life of a prediction:

    configure(device)                                          once a process
    module = open_member(member, weights_path, device)         once a member
    path = run_pass(module, member, view, image_id, image_path, out, device=device, on_batch=...)
    prediction = fuse([PassResult(file=path, weight=1.0, member=member), ...], rung.settings, (height, width),
                      kind="semantic", image_id=image_id)

`run_pass` leaves one file a (member, view or set of views, image): a probability map or run-length coded
detections. A finished file is never made again, so any process may be killed and started again; its name
holds a hash of weights, network, settings and pixel size, so a file of other weights is never mistaken for
it. `fuse` (kit.inference.fusion, no torch needed) reads those files only.

On the CPU every process computes with one thread: sums then have one order, and results do not depend on how
many processes or cores there are. Float32 on the CPU; float16 autocast on CUDA where a member's settings say
so.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import torch

from kit.ensemble import Member
from kit.errors import KitError
from kit.images.info import ImageInfo
from kit.images.slide import open_slide
from kit.inference.fusion import PassResult, fuse
from kit.inference.store import pass_file
from kit.memory import keep_freed_memory
from kit.models import Network, build, load_weights, spec

Progress = Callable[[int, int], None]

__all__ = ["PassResult", "configure", "fuse", "open_member", "result_file", "run_pass"]


def configure(device: torch.device) -> None:
    """Prepare this process: one CPU thread for torch and OpenCV, memory kept, fixed algorithms on CUDA."""
    import cv2  # only who predicts needs it

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def open_member(member: Member, weights: Path, device: torch.device) -> Network:
    """The member's own module with its weights, in eval mode on the device.

    Raises:
        KitError: unknown network, missing library, weights that are missing, damaged, of another network
            or not numbers.
    """
    module = build(member.network)
    load_weights(module, weights)
    for name, tensor in module.network.state_dict().items():
        # Detectors' compiled operators crash the whole process on boxes that are not numbers.
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
            if parameter.ndim == 4:  # what convolutions on tensor cores want
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return module


def result_file(
    out: Path, member: Member, view: str, image_id: str, *, info: ImageInfo | None = None
) -> Path:
    """Return the path where `run_pass` writes its result; the file exists only when it is complete."""
    kind = spec(str(member.network.get("network"))).kind
    return pass_file(out, member, view, image_id, kind=kind, info=info)


def run_pass(  # noqa: PLR0917  # who, how, on what, to where: worker and training call it in this order
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
    info: ImageInfo | None = None,
) -> Path:
    """Run one member under one view over one image, or find that this was done before.

    Args:
        module: of `open_member`, or of training in eval mode on `device`.
        member: settings and identity; for training's out-of-fold predictions with the sha256 of the weights
            just written.
        view: name of a view, or of a set of views: the mean of their probabilities, or their detections after
            NMS, is stored.
        image_id: used in the file's name and in messages.
        image: the image file.
        out: root folder of all passes.
        device: where the module is.
        batch_size: semantic only: instead of the settings'.
        on_batch: called with (done, total) after every forward pass, in tiles; a tile of an instance network
            is a window, or the image.
        on_skipped: semantic only: called once with (tiles without tissue, tiles in all) if the settings skip
            background.
        info: what the competition knows of the image; its pixel size counts if the settings have one.

    Returns:
        `result_file(out, member, view, image_id, info=info)`.

    Raises:
        KitError: unreadable image, numbers that are none, memory out with a batch of one, disk full; names
        member and image.
    """
    target = result_file(out, member, view, image_id, info=info)
    if target.is_file():
        return target
    where = f"member {member.name}, view {view}, image {image_id}"
    # By name: predict.py carries the engine of its own kind only.
    engine = importlib.import_module(f"kit.inference.{module.spec.kind}_engine")
    with open_slide(image) as slide:
        engine.run_pass(
            module,
            member,
            view,
            slide,
            target,
            device=device,
            where=where,
            batch_size=batch_size,
            on_batch=on_batch,
            on_skipped=on_skipped,
            info=info,
        )
    return target
