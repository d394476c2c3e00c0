"""Random faults against whole commands, and the server's own truth about what came of them.

A schedule is drawn from a seed: what is done (a new dataset or model, a version of one, a submission), what
Kaggle is like (archives unpacked or not, how late it is ready), up to four faults, up to two kills of our
process. The commands run as a user starts them. What they say is then held against what the server holds.
"""

import random
from dataclasses import dataclass, field

from tests.kaggle_server import submit_schedules, upload_schedules
from tests.kaggle_server.commands import Kill
from tests.kaggle_server.faults import Fault

CASES = ("new", "version", "model", "version of a model", "submit")
CODES = (400, 401, 403, 409, 429, 500, 503, (429, 0), (503, 0))
ANY = ("status", "drop_before", "drop_after", "error_200", "empty_200", "html_200", "hang", "token_expired")
"""Kinds that may strike every call."""
STREAMS = ("status", "drop_before", "drop_after", "stand_still", "truncate", "flip_byte")
"""Kinds that may strike the bytes of a file."""
ONCE = ("hang", "stand_still")
"""Kinds that cost seconds each time."""


@dataclass
class Schedule:
    """What will happen; `world` are fields of the world, `kills` strike one run after the other."""

    seed: int
    case: str
    faults: list
    kills: list
    world: dict = field(default_factory=dict)
    way: str = "key"
    settings: dict = field(default_factory=dict)

    def __str__(self):
        parts = [f"{item.kind}@{item.at}#{item.nth}x{item.times}({item.argument})" for item in self.faults]
        parts += map(str, self.kills)
        return f"{self.seed} {self.case} {self.way} {self.world} {self.settings} {' '.join(parts)}"


def part_of(case):
    """The module that knows events, faults and truth of a case."""
    return submit_schedules if case == "submit" else upload_schedules


def schedule(seed):
    """Draw a schedule."""
    draw = random.Random(seed)
    case = draw.choice([*CASES, "submit"])  # which has the most ways to go wrong
    part = part_of(case)
    world, settings = part.surroundings(draw)
    faults = [_fault(draw, part, case, settings) for _ in range(draw.randrange(5))]
    kills = [
        Kill(
            draw.choice([*part.calls(case), *part.STREAMS]),
            draw.randint(1, 3),
            draw.choice([0, draw.uniform(0, 1)]),
        )
        for _ in range(draw.choice([0, 0, 1, 1, 2]))
    ]
    return Schedule(seed, case, faults, kills, world, draw.choice(["key", "key", "token"]), settings)


def _fault(draw, part, case, settings):
    """Draw a fault: of a call, of a stream of bytes, or of the whole world, each as often."""
    where = draw.choice(["call", "stream", "world"])
    if where == "world":
        kinds = part.of_the_world(case, settings)
        kind = draw.choice(sorted(kinds))
        return Fault(kind, "", argument=draw.choice(kinds[kind]))
    at = draw.choice(part.calls(case) if where == "call" else part.STREAMS)
    kinds = ANY if where == "call" else (*STREAMS, *part.MORE.get(at, ()))
    kind = draw.choice(kinds)
    argument = draw.choice(CODES) if kind == "status" else None
    if kind in {"drop_midfile", "half"} or (kind, at) == ("stand_still", "blobs.PUT"):
        argument = draw.randint(1, 40_000)
    return Fault(kind, at, draw.randint(1, 4), 1 if kind in ONCE else draw.choice([1, 1, 2, 3]), argument)


def run(plan, folder, made=None):
    """Run a schedule in an empty folder; return (the ends of its commands, what was wrong with them).

    Args:
        plan: the schedule.
        folder: for everything it writes.
        made: a `submit_schedules.Made`; schedules of the case "submit" need it.
    """
    return part_of(plan.case).run(plan, folder, made)
