"""What goes wrong, and when: each fault waits for the n-th time that something happens."""

import threading
from dataclasses import dataclass

ANSWERS = (
    "drop_before", "drop_after", "status", "error_200", "empty_200", "html_200", "hang", "stand_still",
    "drop_midfile", "half", "range_wrong", "range_beyond", "blob_expired", "truncate", "flip_byte",
)  # fmt: skip
"""Kinds that change one answer. `token_expired` changes all answers from its event on: 401. The others change
the world: see the modules of the calls."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    kind: see ANSWERS and the calls; at: the event, "datasets.CreateDataset", "blobs.PUT", "files.GET";
    nth: the first time that it strikes, from 1; times: how often in a row; argument: for `status` the code
    or (code, Retry-After, reason), for `drop_midfile`, `half` and `stand_still` the bytes that get through.
    """

    kind: str
    at: str
    nth: int = 1
    times: int = 1
    argument: object = None


class Faults:
    """Counts events and says which fault strikes; `seen` holds every event in order."""

    def __init__(self, *faults):
        self.faults = list(faults)
        self.seen = []
        self.expired = False  # no credentials are accepted any more
        self._counts = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def take(self, event):
        """Count an event; return the fault that strikes it."""
        with self._lock:
            count = self._counts[event] = self._counts.get(event, 0) + 1
            self.seen.append(event)
            self._changed.notify_all()
            for fault in self.faults:
                if fault.at == event and fault.nth <= count < fault.nth + fault.times:
                    self.expired = self.expired or fault.kind == "token_expired"
                    return fault
        return None

    def end(self):
        """From now on nothing fails."""
        self.faults.clear()
        self.expired = False

    def of(self, kind):
        """Faults of a kind, for the calls that look at them themselves."""
        return [fault for fault in self.faults if fault.kind == kind]

    def count(self, event):
        with self._lock:
            return self._counts.get(event, 0)

    def wait_for(self, event, count=1, seconds=120):
        """Wait until an event has happened `count` times; whether it has."""
        with self._lock:
            return self._changed.wait_for(lambda: self._counts.get(event, 0) >= count, seconds)
