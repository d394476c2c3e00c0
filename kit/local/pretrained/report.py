"""The report of a conversion: what became of every tensor of the checkpoint and of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kit.local.console import console, show_table

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a conversion.

    The last seven attributes are lists of tensors. All names are in the network's form, also those of tensors
    that only the checkpoint has.

    Attributes:
        kind: name of the checkpoint's format.
        network: registered name.
        taken: label of the state dict in the file that was taken, see `state_dicts.Candidate`.
        others: labels of the other state dicts that fit as well.
        part: prefixes of the network's names that this format fills.
        values: how many numbers of that part training changes, without those of `reset`.
        filled: how many of these numbers the checkpoint gave.
        unused: how many numbers the `unexpected` tensors have.
        loaded: copied without a change.
        resized: fitted to another shape; each line has both shapes.
        reset: got new values by a declared rule; each line has the rule.
        reshaped: refused because of another shape; each line has both shapes.
        missing: not in the checkpoint; they keep the network's own initialisation.
        unexpected: in the checkpoint, but not in the network.
        dropped: in the checkpoint, but not in the network, as the format declares.
    """

    # A checkpoint gives 900 of the network's 1200 values (filled 900, values 1200), and it has 100 values
    # that the network does not know (unused 100). Then `share` is 900 / 1200 and `used` is 900 / (900 + 100).

    kind: str
    network: str
    taken: str
    others: tuple[str, ...]
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
        """Share of the network's values that the checkpoint gave, 0 to 1."""
        return self.filled / self.values if self.values else 0.0

    @property
    def used(self) -> float:
        """Share of the checkpoint's values that the network took, 0 to 1."""
        return self.filled / (self.filled + self.unused) if self.filled else 0.0

    @property
    def groups(self) -> tuple[tuple[str, Sequence[str]], ...]:
        """Each group of tensors, with the words for it."""
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
        """Return one line with the counts, and the first names in each group of faults."""
        wrong = (
            ("of another shape", self.reshaped),
            ("missing", self.missing),
            ("unexpected", self.unexpected),
        )
        parts = [f"{len(self.loaded) + len(self.resized)} tensors fit"]
        parts += [f"{len(names)} {what} ({_first(names)})" for what, names in wrong if names]
        return ", ".join(parts)

    def show(self) -> None:
        """Print a table of counts with examples, and both shares."""
        rows = [(what, str(len(names)), _first(names)) for what, names in self.groups if names]
        show_table(f"{self.kind} checkpoint -> {self.network}", ("tensors", "count", "for example"), rows)
        part = "the network" if self.part == ("",) else ", ".join(f"{prefix}*" for prefix in self.part)
        console().print(
            f"{self.share:.2%} of {part} loaded ({self.filled:,} of {self.values:,} values), "
            f"{self.used:.2%} of the checkpoint used",
            markup=False,
        )
        if self.others:
            choices = " or ".join(f"--take {label}" for label in self.others)
            console().print(
                f"taken: {self.taken}; the file has other weights that fit, choose them with {choices}",
                style="yellow",
                markup=False,
            )


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
