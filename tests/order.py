"""In which order the processes of pytest-xdist run the tests."""

from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def slow_ones_first(
    items: Sequence[Item],
    processes: int,
    *,
    is_slow: Callable[[Item], bool],
    group: Callable[[Item], Hashable],
) -> list[Item]:
    """Let each process begin with some of the slow tests: started last, one would keep all but one core idle.

    At first `--dist worksteal` gives each process an equal part of the list, from its start to its end. With
    all slow tests at the start, the first process would run them one after another while the others are done
    with everything else.

    Args:
        items: the tests as pytest found them.
        processes: number of them.
        is_slow: whether a test takes minutes.
        group: tests of one group share what they set up, and go to one process: in another one they would
            wait until it is made.

    Returns:
        The tests of each process, one process after another.
    """
    parts: list[list[Item]] = [[] for _ in range(processes)]
    groups: dict[Hashable, list[Item]] = {}
    for item in filter(is_slow, items):
        groups.setdefault(group(item), []).append(item)
    for number, tests in enumerate(groups.values()):
        parts[number % processes].extend(tests)
    others = (item for item in items if not is_slow(item))
    ordered: list[Item] = []
    left = len(items)
    for number, part in enumerate(parts):
        share = left // (
            processes - number
        )  # 8 tests for 3 processes: 2, 3 and 3, as pytest-xdist divides them
        left -= share
        ordered += [*part, *islice(others, max(share - len(part), 0))]
    return [*ordered, *others]
