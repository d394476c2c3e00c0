"""Loops that know nothing of each other, measured step by step in turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kit.errors import KitError
from kit.local.wording import counted


@dataclass(frozen=True)
class Times:
    """Times of one loop's steps.

    Attributes:
        seconds: of each step.
        processor: seconds that the process computed in each step, all threads together. The other loops wait,
            so this is the step's own work, whatever else the machine does meanwhile.
    """

    seconds: list[float]
    processor: list[float]


class Finished(Exception):  # noqa: N818 - no error: it ends a loop that would go on
    """Raised in a loop that has done all its measured steps."""


class Turns:
    """Lets one loop at a time do one step.

    Each loop runs in a thread and calls `arrive` at the start of each of its steps. There it waits until all
    the others wait, too, and its turn has come. So a step of ours and a step of the peer are measured right
    after each other, and load that comes and goes meets both.

    Args:
        names: of the loops.
        rounds: measured steps of each.
    """

    def __init__(self, names: Mapping[str, object], rounds: int) -> None:
        # The order alternates, as in `rounds.in_turns`: a b, b a, a b, ... Round 0 warms up.
        order = list(names)
        self._turns = [name for number in range(rounds + 1) for name in order[:: -1 if number % 2 else 1]]
        self._position = 0
        self._began: dict[str, tuple[float, float]] = {}
        self._changed = threading.Condition()
        self._failed = False
        self.rounds = rounds
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self.processor: dict[str, list[float]] = {name: [] for name in names}

    def arrive(self, name: str) -> int:
        """End the loop's present step, if it is in one, and wait for the turn of the next.

        Returns:
            Number of the step that begins: 0 warms up.

        Raises:
            Finished: all steps are done, or another loop failed.
        """
        with self._changed:
            if name in self._began:
                wall, processor = self._began[name]
                self.seconds[name].append(time.perf_counter() - wall)
                self.processor[name].append(time.process_time() - processor)
                self._position += 1
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._failed or self._next() in (name, None))
            if self._failed or len(self.seconds[name]) > self.rounds:
                raise Finished
            self._began[name] = time.perf_counter(), time.process_time()
            return len(self.seconds[name])

    def _next(self) -> str | None:
        return self._turns[self._position] if self._position < len(self._turns) else None

    def fail(self) -> None:
        """End all loops: one of them failed."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()


def step_by_step(loops: Mapping[str, Callable[[Turns], None]], rounds: int) -> dict[str, Times]:
    """Run loops in turn, and return the times of each one's steps without its first.

    Args:
        loops: name -> runs the loop, which calls `arrive` with its name at the start of each step.
        rounds: measured steps of each.

    Raises:
        KitError: a loop failed or ended too early.
    """
    turns = Turns(loops, rounds)
    errors: dict[str, BaseException] = {}

    def run(name: str) -> None:
        try:
            loops[name](turns)
            errors[name] = KitError(f"the loop ended after {counted(len(turns.seconds[name]), 'step')}")
            turns.fail()
        except Finished:
            pass
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            errors[name] = error
            turns.fail()

    threads = [threading.Thread(target=run, args=(name,), name=name) for name in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, error in errors.items():
        raise KitError(f"{name} could not be measured: {type(error).__name__}: {error}") from error
    return {name: Times(turns.seconds[name][1:], turns.processor[name][1:]) for name in loops}
