"""What the end of a process means, in words for people."""

from __future__ import annotations

import signal

from kit.errors import BAD_INPUT

GO_ON = "run the same command again: finished jobs are kept, this one goes on from its last checkpoint"


def signal_of(code: int) -> int:
    """Return the signal that ended a process, 0 if none did.

    Args:
        code: exit code. Python gives a signal as -9; a shell, Slurm and containers as 128 + 9.
    """
    return -code if code < 0 else code - 128 if 128 < code < 160 else 0


def end_in_words(code: int) -> tuple[str, str]:
    """Say how a process ended.

    Args:
        code: exit code, as `signal_of` takes it.

    Returns:
        What happened ("was ended by signal 15"), and what to do about it.
    """
    number = signal_of(code)
    if number == signal.SIGKILL:
        fix = (
            "use fewer --workers or fewer jobs side by side (train-all: --jobs; Slurm: --submit mem_gb=N); "
            f"`dmesg` names what the kernel killed. Then {GO_ON}"
        )
        return "was killed (signal 9), most likely because the machine's memory ran out", fix
    if number == signal.SIGBUS:
        what = "was killed by signal 7: the shared memory (/dev/shm) or the disk below a memory map is full"
        return what, f"enlarge /dev/shm or use --workers 0, then {GO_ON}"
    if number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return f"was ended from outside (signal {number})", GO_ON
    if number:
        return f"crashed with signal {number} ({_name(number)})", GO_ON
    if code == BAD_INPUT:
        return "stopped with a message", "the message above says what to do"
    return f"ended with exit code {code}", f"the log says why; then {GO_ON}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal between the two that have names
        return "without a name"
