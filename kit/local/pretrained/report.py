"""What became of every tensor of a checkpoint and of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kit.local.console import console, show_table

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a conversion, by names of the network unless said otherwise.

    Attributes:
        kind: of the checkpoint.
        network: registered name.
        part: prefixes of the network's names that this kind fills.
        values: numbers in that part that training changes, without those of `reset`.
        filled: how many of them the checkpoint gave.
        unused: numbers of the checkpoint that are `unexpected`.
        loaded: taken as they are.
        resized: fitted to another shape, with both shapes.
        reset: begun anew by a declared rule, with the rule.
        reshaped: not taken, because of another shape, with both shapes.
        missing: in the network's part only; they keep the network's own initialisation.
        unexpected: in the checkpoint only.
        dropped: in the checkpoint only, as is known of this kind.
    """

    kind: str
    network: str
    part: tuple[str, ...]
    values: int
    filled: int
    unused: int
    loaded: Sequence[str]
    resized: Sequence[str]
    reset: Sequence[str]
    reshaped: Sequence[str]
    missing: Sequence[str]
    unexpected: Sequence[str]
    dropped: Sequence[str]

    @property
    def share(self) -> float:
        """Part of the values that the checkpoint gave."""
        return self.filled / self.values if self.values else 0.0

    @property
    def used(self) -> float:
        """Part of the checkpoint's values that the network took."""
        return self.filled / (self.filled + self.unused) if self.filled else 0.0

    @property
    def groups(self) -> tuple[tuple[str, Sequence[str]], ...]:
        """Each group of names with what happened to it."""
        return (
            ("loaded", self.loaded),
            ("resized", self.resized),
            ("re-initialised", self.reset),
            ("of another shape", self.reshaped),
            ("missing", self.missing),
            ("unexpected", self.unexpected),
            ("dropped", self.dropped),
        )

    def summary(self) -> str:
        """One line: counts and first names of what went wrong."""
        wrong = (
            ("of another shape", self.reshaped),
            ("missing", self.missing),
            ("unexpected", self.unexpected),
        )
        parts = [f"{len(self.loaded) + len(self.resized)} tensors fit"]
        parts += [f"{len(names)} {what} ({_first(names)})" for what, names in wrong if names]
        return ", ".join(parts)

    def show(self) -> None:
        """Print a table of counts with examples, and the share."""
        rows = [(what, str(len(names)), _first(names)) for what, names in self.groups if names]
        show_table(f"{self.kind} checkpoint -> {self.network}", ("tensors", "count", "for example"), rows)
        whole = "the network" if self.part == ("",) else ", ".join(f"{prefix}*" for prefix in self.part)
        console().print(
            f"{self.share:.2%} of {whole} loaded ({self.filled:,} of {self.values:,} values), "
            f"{self.used:.2%} of the checkpoint used",
            markup=False,
        )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
