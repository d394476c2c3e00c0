"""Why a worker process ended, in words: by its exit code and by the last lines that it wrote."""

from __future__ import annotations

from dataclasses import dataclass

from kit.plan.tasks import Stage

_SIGNALS = {
    -4: "an illegal instruction: a library was built for another processor",
    -6: "a library aborted",
    -7: "a bus error: the disk or /dev/shm below a mapped file is full, or the file could not be read",
    -8: "a division by zero in a library",
    -9: "killed; if nobody did it, memory ran out",
    -11: "a segmentation fault in a library",
}
_MEMORY_RAN_OUT = "the kernel killed it because memory ran out; fewer workers (--workers) need less"
_SIGNS = ("MemoryError", "out of memory", "bad_alloc", "annot allocate memory", "an't allocate memory")
_FATAL = "Fatal Python error"
_TRACE_BEGINS = ("Traceback (most recent call last)", _FATAL)
_NOISE = ("Extension modules:", "<no Python frame>")


@dataclass(frozen=True)
class End:
    """How a worker ended.

    Attributes:
        stage: "memory" if memory ran out, else "crash".
        problem: in words, what happened first.
        trace: the lines of code that led to it, if the worker left them.
    """

    stage: Stage
    problem: str
    trace: str | None


def how_it_ended(code: int | None, tail: str, *, memory_killed: bool) -> End:
    """Return why a worker ended.

    Args:
        code: exit code, negative for a signal, None if it cannot be known.
        tail: the end of what it wrote to stderr.
        memory_killed: the kernel has just ended a process of this container for want of memory.
    """
    lines = [line for line in tail.splitlines() if line.strip() and not line.startswith(_NOISE)]
    begins = [number for number, line in enumerate(lines) if line.startswith(_TRACE_BEGINS)]
    trace = "\n".join(lines[begins[-1] :]) if begins else None
    # A traceback ends with the type and message of the exception; the lines of code are indented. Python's
    # report of a signal begins with "Fatal Python error: Segmentation fault".
    said = [line for line in lines if not line[0].isspace() and not line.startswith(_TRACE_BEGINS[0])]
    last = next(
        (line for line in said if line.startswith(_FATAL)), said[-1] if said else "it left no message"
    )
    if code == -9 and memory_killed:
        return End("memory", f"worker ended with code -9: {_MEMORY_RAN_OUT}", trace)
    why = _SIGNALS.get(code or 0)
    stage: Stage = "memory" if any(sign in tail for sign in _SIGNS) else "crash"
    return End(stage, f"worker ended with code {code}: {f'{why}; {last}' if why else last}", trace)
