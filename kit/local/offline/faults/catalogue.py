"""The faults that predict.py has to survive, by name: what each stands for on Kaggle and how it is made here.

predict.py runs as it was rendered. A fault comes from outside (signals, disks, mounts, weights, data) or from
the simulated image's own start-up hook (`hook`), which any image may have; none replaces a part of our code.

"An image costs an image, a member a member": after each fault the file is valid, and `report.json` says what
happened. `may_end_empty` marks the faults after which there may be nothing to predict (exit code 2).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from kit.errors import KitError, did_you_mean
from kit.local.offline.faults.scene import Point, Scene, Strike

_EARLY, _LATE = (0, 20), (20, 400)
"""Convolutions before a fault: in the first image, or somewhere in the run."""
_POINTS: tuple[Point, ...] = ("start", "convolution", "convolution")
_EVER = 10**6
"""Events: to the end of the run."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: for `--faults`.
        stands_for: what happens on Kaggle.
        made_by: how it is made here.
        change: changes the scene.
        told: words, one of which the report, or the log, has to hold where the fault struck; empty: it costs
            nothing that had to be told.
        may_end_empty: nothing can be predicted with it, depending on the moment.
    """

    name: str
    stands_for: str
    made_by: str
    change: Callable[[Scene], None]
    told: tuple[str, ...] = ()
    may_end_empty: bool = False


def _moment(scene: Scene) -> int:
    return scene.draw.randint(*scene.draw.choice([_EARLY, _LATE]))


def _killed(scene: Scene) -> None:
    times = scene.draw.choice([1, 1, 2, 3])
    scene.strikes.append(
        Strike(fault="worker-killed", point="convolution", action="kill", after=_moment(scene), times=times)
    )


def _killed_at_start(scene: Scene) -> None:
    times = scene.draw.choice([1, 2, 3])
    scene.strikes.append(Strike(fault="worker-dies-at-start", point="start", action="kill", times=times))


def _killed_for_memory(scene: Scene) -> None:
    scene.strikes.append(
        Strike(fault="oom-killer", point="convolution", action="kill the fattest", after=_moment(scene))
    )


def _hang(scene: Scene) -> None:
    scene.strikes.append(Strike(fault="hang", point="convolution", action="stop", after=_moment(scene)))


def _terminated(scene: Scene) -> None:
    # While the first, or the second, worker starts, or while one computes.
    point = scene.draw.choice(_POINTS)
    after = scene.draw.randint(0, 1) if point == "start" else _moment(scene)
    scene.strikes.append(Strike(fault="sigterm", point=point, action="terminate the supervisor", after=after))


def _terminated_while_writing(scene: Scene) -> None:
    scene.strikes.append(
        Strike(
            fault="sigterm-while-writing",
            point="put in place",
            action="terminate the supervisor",
            after=scene.draw.randint(1, 5),  # the first file is the fallback
            role="supervisor",
            on="submission.csv",
        )
    )


def _gpu_unusable(scene: Scene) -> None:
    scene.gpus = "unusable"


def _pretend(scene: Scene) -> None:
    scene.gpus = scene.gpus or "pretended"


def _gpu_memory(scene: Scene) -> None:
    _pretend(scene)
    windows, times = scene.draw.choice([(1, _EVER), (0.5, _EVER), (0.5, 3), (0, 1), (0, 5), (0, _EVER)])
    scene.strikes.append(
        Strike(
            fault="gpu-memory",
            point="convolution",
            action="memory",
            after=scene.draw.choice([0, _moment(scene)]),
            times=times,
            argument=windows,
            only=scene.draw.choice([None, "0"]),
        )
    )


def _poisoned(scene: Scene) -> None:
    _pretend(scene)
    after, times = _moment(scene), scene.draw.choice([1, 1, 2])
    scene.strikes.append(
        Strike(fault="poisoned-context", point="convolution", action="poison", after=after, times=times)
    )


def _gpu_lost(scene: Scene) -> None:
    _pretend(scene)
    after = _moment(scene) // 2
    scene.strikes.append(
        Strike(fault="gpu-lost", point="convolution", action="lose", after=after, times=_EVER, only="1")
    )


def _gpu_slower(scene: Scene) -> None:
    _pretend(scene)
    factor = scene.draw.choice([2, 5, 20])
    scene.strikes.append(
        Strike(fault="gpu-slower", point="convolution", action="slow", argument=factor, times=_EVER, only="1")
    )


def _full(disk: str) -> Callable[[Scene], None]:
    def change(scene: Scene) -> None:
        scene.full[disk] = (2 << 20) if disk == "working" else (256 << 20)
        scene.strikes.append(
            Strike(
                fault=f"{disk}-full",
                point=scene.draw.choice(_POINTS),
                action="fill",
                after=scene.draw.choice([0, _moment(scene)]),
                argument=[disk],
            )
        )

    return change


def _clock(scene: Scene) -> None:
    day = 86400.0
    scene.clock = (
        scene.draw.uniform(0, 8),
        scene.draw.choice([-20 * 365 * day, -day, -60.0, 60.0, day, 3650 * day]),
    )


def _hidden(change: str) -> Callable[[Scene], None]:
    return lambda scene: scene.hidden.append(change)


def _weights(change: str) -> Callable[[Scene], None]:
    return lambda scene: scene.weights.append(change)


def _slow_mount(scene: Scene) -> None:
    scene.mount = replace(scene.mount, megabytes_per_s=scene.draw.choice([0.5, 2.0, 10.0]))


def _short_mount(scene: Scene) -> None:
    scene.mount = replace(scene.mount, longest_read=scene.draw.choice([1021, 8192, 65536]))


def _no_maps(scene: Scene) -> None:
    scene.mount = replace(scene.mount, no_maps=True)


def _read_error(scene: Scene) -> None:
    scene.strikes.append(
        Strike(
            fault="read-error",
            point="open",
            action="read error",
            after=scene.draw.randint(0, 3),
            times=scene.draw.choice([1, 2, 3]),
            on=scene.draw.choice([".tiff", ".tif", ".safetensors"]),
        )
    )


def _slow_machine(scene: Scene) -> None:
    scene.slow_down = 3.0


def _closed(scene: Scene) -> None:
    scene.closed = True


FAULTS: tuple[Fault, ...] = (
    Fault(
        "worker-killed",
        "a worker is ended by a crash of a library or by somebody",
        "SIGKILL in the middle of a convolution, up to three times",
        _killed,
        ("code -9",),
    ),
    Fault(
        "worker-dies-at-start",
        "torch cannot be imported at first: a cold image, a full /dev/shm",
        "SIGKILL of the first workers as they start",
        _killed_at_start,
    ),
    Fault(
        "oom-killer",
        "memory runs out, and the kernel ends a process",
        "SIGKILL of the process with the highest oom_score of the run, which the kernel would choose",
        _killed_for_memory,
        ("code -9",),
    ),
    Fault(
        "hang",
        "a kernel or a driver hangs for good",
        "SIGSTOP of a worker in a convolution; nobody lets it go on",
        _hang,
        ("no sign of life", "deadline", "was stopped by a signal"),
    ),
    Fault(
        "sigterm",
        "Kaggle ends the session, at any moment",
        "SIGTERM to the supervisor while a worker starts or computes",
        _terminated,
        ("stopped by a signal", '"stopped"'),
        may_end_empty=True,
    ),
    Fault(
        "sigterm-while-writing",
        "Kaggle ends the session while submission.csv is replaced",
        "SIGTERM to the supervisor as it renames the file: the completed fallback or a rung",
        _terminated_while_writing,
        ("stopped by a signal", '"stopped"', "end"),
        may_end_empty=True,
    ),
    Fault(
        "gpu-unusable",
        "GPUs are listed, and torch has no kernels for them",
        "CUDA_VISIBLE_DEVICES and torch list two GPUs; every tensor that goes there fails",
        _gpu_unusable,
        ("cannot be used",),
    ),
    Fault(
        "gpu-memory",
        "a batch does not fit into the GPU's memory",
        "two GPUs that the CPU stands for; torch.OutOfMemoryError above one window, half of one, or always",
        _gpu_memory,
    ),
    Fault(
        "poisoned-context",
        "an illegal memory access: every CUDA call of the process fails from then on",
        "two GPUs that the CPU stands for; every convolution of the process fails",
        _poisoned,
        ("illegal memory access",),
    ),
    Fault(
        "gpu-lost",
        "one of two GPUs falls off the bus",
        "two GPUs that the CPU stands for; on the second each convolution fails from a moment on",
        _gpu_lost,
        ("unspecified launch failure",),
    ),
    Fault(
        "gpu-slower",
        "one of two GPUs is throttled",
        "two GPUs that the CPU stands for; on the second convolutions take 2 to 20 times as long",
        _gpu_slower,
    ),
    Fault(
        "scratch-full",
        "another program fills the scratch disk",
        "the scratch disk holds 256 MB, and is filled when a worker starts or computes",
        _full("scratch"),
        may_end_empty=True,
    ),
    Fault(
        "working-full",
        "/kaggle/working is full",
        "the output disk holds 2 MB, and is filled when a worker starts or computes",
        _full("working"),
        may_end_empty=True,
    ),
    Fault(
        "clock-jump",
        "the machine's clock is set",
        "time.time and its like jump by a minute to 20 years, forth or back; the monotonic clock does not",
        _clock,
    ),
    Fault(
        "hidden-larger",
        "the hidden test set is three times larger",
        "each test image is mounted twice more under new ids, with rows in all tables",
        _hidden("three times"),
    ),
    Fault(
        "hidden-empty",
        "the hidden test set is empty",
        "no test image, and a sample submission without rows",
        _hidden("empty"),
        may_end_empty=True,
    ),
    Fault(
        "hidden-unlisted",
        "the test part holds images that the sample submission does not list, and lacks one that it does",
        "an image is copied under a new id without a row, and another is removed",
        _hidden("unlisted"),
        may_end_empty=True,
    ),
    Fault(
        "slow-mount",
        "a cold mount",
        "the input is served through FUSE at 0.5 to 10 MB/s for each stream",
        _slow_mount,
    ),
    Fault(
        "short-reads",
        "a mount that returns less than was asked for",
        "the input is served through FUSE, and a read returns at most 1 to 64 kB",
        _short_mount,
    ),
    Fault(
        "no-maps",
        "a mount that refuses shared maps",
        "the input is served through FUSE without its pages being kept, so the kernel refuses them (ENODEV)",
        _no_maps,
    ),
    Fault(
        "read-error",
        "a read of the mount fails and passes the next time",
        "opening an image or weights fails with EIO, up to three times",
        _read_error,
    ),
    Fault(
        "slower-machine",
        "the hidden run's machine is three times slower",
        "all processes stand still for two thirds of each tenth of a second",
        _slow_machine,
    ),
    Fault("stdout-closed", "nobody takes the output", "predict.py is started without stdout", _closed),
    Fault(
        "constant-output",
        "a member whose training collapsed: it says the same everywhere",
        "all its weights are set to zero, and the hashes of script and bundle made right again",
        _weights("constant"),
        ("the same everywhere", "finds nothing"),
    ),
    Fault(
        "nan-output",
        "a member whose numbers overflow",
        "its weights are set to the largest numbers, and the hashes made right again",
        _weights("not a number"),
        ("not numbers", "dropped"),
        may_end_empty=True,
    ),
    Fault(
        "identical-output",
        "one member was uploaded twice under two names",
        "a member gets the weights of another, and the hashes are made right again",
        _weights("identical"),
        ("the same output",),
    ),
)
_BY_NAME = {fault.name: fault for fault in FAULTS}


def named(names: Sequence[str]) -> list[Fault]:
    """Return faults by name.

    Raises:
        KitError: there is no such fault.
    """
    for name in names:
        if name not in _BY_NAME:
            raise KitError(
                f"there is no fault {name!r}",
                where="--faults",
                fix=f"{did_you_mean(name, _BY_NAME)}`--faults list` names all of them",
            )
    return [_BY_NAME[name] for name in dict.fromkeys(names)]


def schedule(seed: int, known: Sequence[Fault] = FAULTS) -> tuple[list[Fault], Scene]:
    """Draw one to four faults and their moments; the same seed gives the same ones."""
    draw = random.Random(seed)
    chosen = draw.sample(list(known), draw.choice([1, 1, 2, 2, 3, 4]))
    return chosen, scene_of(chosen, draw)


def scene_of(faults: Sequence[Fault], draw: random.Random) -> Scene:
    """Return the scene of some faults."""
    scene = Scene(draw)
    for fault in faults:
        fault.change(scene)
    return scene


def as_text() -> str:
    """Return one line for each fault."""
    width = max(len(fault.name) for fault in FAULTS)
    return "\n".join(f"{fault.name:{width}}  {fault.stands_for}; here: {fault.made_by}" for fault in FAULTS)


def as_table() -> str:
    """Return the table of docs/rehearse.md."""
    lines = ["| fault | stands for | made by |", "|---|---|---|"]
    for fault in FAULTS:
        mark = "*" if fault.may_end_empty else ""
        lines.append(f"| `{fault.name}`{mark} | {fault.stands_for} | {fault.made_by} |")
    return "\n".join(lines)
