"""The three ways to a compiled library: this machine, the target's container, a kernel on Kaggle.

Each puts the library into a folder, or returns why it cannot, in half a sentence. An order that a way took
and that did not compile is an error with the log.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bundle.native import compile_program
from bundle.native.order import Order, program
from bundle.native.variant import Variant
from kit.artefacts import write_text
from kit.errors import KitError
from kit.local.console import progress
from kit.local.kaggle import kernel_runs, kernel_state, kernels
from kit.local.kaggle.kernel_metadata import Kernel
from kit.local.kaggle.wire import Wire
from kit.local.targets import Target

_REFUSED = "NOT COMPILED: "
_TAIL = 25
_LONGEST = 3600
"""Seconds of a kernel; a dozen operators take some minutes."""
_GPU = "NvidiaTeslaT4"


def here(order: Order, folder: Path, log: Path) -> str | None:
    """Compile on this machine; return why not, None if it is done.

    Args:
        order: what.
        folder: gets the library.
        log: gets what the compilers say.

    Raises:
        KitError: the sources do not compile.
    """
    if (reason := _not_here(order.variant)) is not None:
        return reason
    zipped = folder / "order.zip"
    order.write(zipped, install=False)
    command = [sys.executable, "-P", str(program()), "--order", str(zipped), "--out", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return _outcome(_run(command, log, environment), log)


def _not_here(variant: Variant) -> str | None:
    """Return how this machine differs from what the library is for; it costs no import of torch."""
    from importlib.metadata import PackageNotFoundError, version

    own = f"cp{sys.version_info.major}{sys.version_info.minor}"
    if own != variant.tag:
        return f"this Python is {own}"
    try:
        torch = ".".join(version("torch").split(".")[:2])
    except PackageNotFoundError:
        return "there is no torch here"
    return None if torch == variant.torch else f"the torch here is {torch}"


def docker(order: Order, target: Target, folder: Path, log: Path, *, registry: str | None) -> str | None:
    """Compile in the target's container; return why not, None if it is done.

    Args:
        order: what.
        target: whose image.
        folder: gets the library.
        log: gets what docker and the compilers say.
        registry: host to pull the image from, where the target names none.

    Raises:
        KitError: the sources do not compile.
    """
    if target.image is None:
        return "its container is not known"
    if shutil.which("docker") is None:
        return "there is no docker"
    if _run(["docker", "version", "--format", "{{.Server.Version}}"], log):
        return "no docker engine answers"
    image = f"{registry}/{target.image}" if registry else target.image
    if _run(["docker", "image", "inspect", image], log) and _run(["docker", "pull", image], log):
        return f"{image} cannot be pulled ({_last(log)})"
    mounted = folder / "mounted"
    mounted.mkdir(exist_ok=True)
    order.write(mounted / "order.zip", install=True)
    shutil.copyfile(program(), mounted / "program.py")
    return _outcome(_run(docker_command(image, mounted), log), log, mounted, folder)


def docker_command(image: str, mounted: Path) -> list[str]:
    """Return the command that compiles in a container.

    Args:
        image: with its digest.
        mounted: folder with the program and the order, which gets the library; /order in the container.
    """
    # Files of the container's root would stay on this disk for ever, so it runs as we do.
    return [
        *("docker", "run", "--rm", "--user", f"{os.getuid()}:{os.getgid()}", "--env", "HOME=/tmp"),
        *("--volume", f"{mounted.resolve()}:/order", "--workdir", "/order", "--entrypoint", "python3"),
        *(image, "-P", "/order/program.py", "--order", "/order/order.zip", "--out", "/order"),
    ]


def kernel(
    order: Order,
    target: Target,
    folder: Path,
    *,
    wire: Wire,
    owner: str,
    state: Path,
    say: Callable[[str], None],
) -> None:
    """Compile in a kernel on Kaggle, with internet, and fetch the library.

    Args:
        order: what.
        target: whose image; without a known container it is Kaggle's present one, and the program looks
            whether that is the right one.
        folder: gets the library.
        wire: to Kaggle.
        owner: Kaggle user name.
        state: folder for the kernel's state.
        say: takes progress.

    Raises:
        KitError: as `kernels.push` and `kernel_runs.wait`; or the session was of another Python or torch.
    """
    source = folder / "kernel.py"
    write_text(source, order.kernel_source())
    asked = Kernel(
        owner=owner,
        title=f"Native mmcv {order.identity[:12]}",
        source=source,
        kind="script",
        accelerator=None if order.variant.cuda is None else _GPU,
        image=target.image,
        internet=True,
        timeout_s=_LONGEST,
    )
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        say(f"  {line}")

    pushed = kernels.push(wire, asked, kernel_state.state_file(state, asked.id), say=say)
    say(f"version {pushed.version} compiles: {pushed.url}")
    try:
        kernel_runs.wait(wire, pushed, on_line)
    except KitError as error:
        if refused := [line.partition(_REFUSED)[2] for line in lines if _REFUSED in line]:
            raise KitError(
                f"the session on Kaggle is not {order.variant}: {refused[0]}",
                where=pushed.url,
                fix=f"probe Kaggle's present image and build for that target, or give {target.name} its "
                "container, so that the kernel is pinned to it",
            ) from error
        raise
    kernel_runs.output(wire, pushed, folder / "output")
    for name in (compile_program.RESULT, f"{order.variant.module}.so"):
        if (folder / "output" / name).is_file():
            (folder / "output" / name).replace(folder / name)


def _run(command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> int:
    """Run a command, add what it says to the log, return its exit code."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(f"$ {' '.join(command)}\n".encode())
        stream.flush()
        with progress(transient=True) as display:
            display.add_task(Path(command[0]).name, total=None, note=f"log: {log.name}")
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=False
            )
    return done.returncode


def _outcome(code: int, log: Path, made: Path | None = None, folder: Path | None = None) -> str | None:
    if code in (compile_program.ANOTHER_PLACE, compile_program.NO_TOOLS):
        said = [line for line in log.read_text(errors="replace").splitlines() if line.startswith(_REFUSED)]
        return said[-1].removeprefix(_REFUSED) if said else "it is another machine"
    if code:
        tail = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise KitError(
            f"mmcv's operators could not be compiled (exit code {code}):\n{tail}",
            where=log,
            fix="read the log; without --native-mmcv the bundle has the portable operators",
        )
    if made is not None and folder is not None:
        for path in made.iterdir():
            if path.name == compile_program.RESULT or path.suffix == ".so":
                path.replace(folder / path.name)
    return None


def _last(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "docker says nothing"
