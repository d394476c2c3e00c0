"""One request to the child process and its messages, until it is done, silent or gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kit.errors import KitError
from kit.local.kaggle.child import Child, Gone, Silent
from kit.local.kaggle.environment import child_environment
from kit.local.kaggle.outcome import Answer, CallError, CutOff, Refused, Stalled, Unclear, Unreachable, judge
from kit.local.kaggle.patience import Patience
from kit.local.kaggle.redact import known_secrets, redact
from kit.local.kaggle.trouble import TROUBLE

T = TypeVar("T")

_START_S = 180.0
"""For Python and its imports, which need the machine alone; half a second where it has nothing else to do."""


class Exchange:
    """The child process and what goes to and fro; it starts at the first request and again after a kill.

    Args:
        scratch: folder for the client's own files; made with mode 0700.
        patience: limits.
        on_line: gets what the client prints, without secrets.
    """

    def __init__(self, scratch: Path, patience: Patience, on_line: Callable[[str], None]) -> None:
        self.scratch = scratch.absolute()
        self.patience = patience
        self._on_line = on_line
        self._secrets = known_secrets()
        self._child: Child | None = None
        self._credentials: dict[str, Any] = {}
        self._count = 0
        self._stop = threading.Event()
        self._began = time.monotonic()

    @property
    def ends(self) -> float:
        """The monotonic time at which the limit for everything is reached."""
        return self._began + self.patience.limit

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def abort(self) -> None:
        """Make the thread that uses this exchange give up at once; the only method that others may call."""
        self._stop.set()
        if self._child is not None:
            self._child.end()

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        return redact(text, self._secrets)

    def credentials(self) -> dict[str, Any]:
        """Return what the client found when it started."""
        self._started()
        return dict(self._credentials)

    def ask(
        self,
        what: str,
        deadline_s: float | None,
        *,
        stall_s: float | None = None,
        on_moved: Callable[[int], None] = lambda _: None,
        **work: Any,
    ) -> dict[str, Any]:
        """Send one request; return the child's answer.

        Args:
            what: names it in messages.
            deadline_s: for the answer; the patience's `rpc` if None.
            stall_s: how long the bytes of a file may stand still; None if there are none.
            on_moved: gets the number of bytes that have moved.
            work: the request: `do` and the arguments of that method of `worker.Session`.

        Returns:
            `status`, `headers`, `body` and what else the method gives.

        Raises:
            CallError: none came.
        """
        for message in self.messages(what, deadline_s or self.patience.rpc, stall_s, work):
            if "moved" in message:
                on_moved(message["moved"])
            else:
                done: dict[str, Any] = message["done"]
                return done
        raise AssertionError

    def messages(
        self, what: str, deadline_s: float, stall_s: float | None, work: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        """Send one request; yield the child's messages, the last of which has the key "done".

        Raises:
            CallError: it was not sent, or no answer came in time.
        """
        child = self._started()
        self._count += 1
        finished = False
        clock = _Clock(deadline_s, stall_s, self.ends, self.patience.limit)
        try:
            child.send({"id": self._count, **work})
            while True:
                message = child.receive(clock.until())
                if message["id"] != self._count:
                    continue
                self._raise_failure(what, message)
                clock.saw(message)
                finished = "done" in message
                yield message
                if finished:
                    return
        except Silent:
            self.close()
            raise clock.error(what) from None
        except Gone:
            text = self._with_printed("the client's process ended")
            self.close()
            raise Unclear(what, text) from None
        except GeneratorExit:
            if not finished:
                self.close()  # the reader of a log stopped: the child is still in the middle of it
            raise

    def judge(self, method: str, reply: Mapping[str, Any], *, writes: bool = False) -> Answer:
        """Return the answer that a reply is, as `outcome.judge`, with no secret in its errors."""
        try:
            return judge(method, reply["status"], reply["headers"], reply["body"], writes=writes)
        except Refused as error:
            raise Refused(
                method,
                status=error.status,
                reason=self.redact(error.reason),
                retry_after=error.retry_after,
            ) from None
        except Unclear as error:
            what = self.redact(error.what)
            raise Unclear(method, what, retry_after=error.retry_after) from None

    def patiently(self, once: Callable[[], T], *, outage: float | None = None) -> T:
        """Repeat what failed in a way that passes, for `outage` seconds; raise `CutOff` at the end of all."""
        end = min(self.ends, time.monotonic() + (outage or self.patience.outage))
        for wait in self.patience.waits():
            try:
                return once()
            except CallError as error:
                if isinstance(error, Refused) and error.status != 429:
                    raise
                if time.monotonic() >= self.ends:
                    raise CutOff(error) from error
                pause = max(wait, error.retry_after or 0)
                if time.monotonic() + pause >= end:
                    raise
                self._on_line(TROUBLE.tell(error, pause=pause, left=end - time.monotonic()))
                if self._stop.wait(pause):
                    raise
        raise AssertionError

    def _raise_failure(self, what: str, message: Mapping[str, Any]) -> None:
        if "fault" in message:
            raise KitError(
                f"the Kaggle client failed: {self.redact(message['fault'])}",
                where=what,
                fix="nothing was lost; run the same command again, with --verbose to see more",
            )
        if "lost" in message:
            text = self.redact(message["lost"])
            if not message["sent"]:
                raise Unreachable(what, text)
            raise Unclear(what, self._with_printed(text))

    def _started(self) -> Child:
        """Return the running child; start it first if there is none."""
        if self._child is not None:
            return self._child
        self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.scratch.chmod(0o700)
        environment = child_environment(os.environ, scratch=self.scratch)
        self._child = Child(environment, lambda line: self._on_line(self.redact(line)))
        deadline_s, awake = _START_S, False
        try:
            self._child.receive(time.monotonic() + deadline_s)
            deadline_s, awake = self.patience.rpc, True
            # `import kaggle` asks the server who the token belongs to, without a deadline of its own.
            self._credentials = self._child.receive(time.monotonic() + deadline_s)["done"]
        except Silent:
            self.close()
            if awake:
                raise Unreachable("the Kaggle client's start", f"no answer in {deadline_s:.0f} s") from None
            raise KitError(
                f"Python did not start and import the Kaggle client within {deadline_s:.0f} s",
                where="import kaggle",
                fix="this machine or its disk is too busy; nothing was lost: run again when it is less so",
            ) from None
        except Gone:
            printed = self.redact("\n".join(self._child.printed[-4:]))
            self.close()
            raise KitError(
                f"the Kaggle client does not start: {printed}",
                where="import kaggle",
                fix="run through nox, which installs requirements.lock",
            ) from None
        except BaseException:
            self.close()
            raise
        return self._child

    def _with_printed(self, text: str) -> str:
        printed = self._child.printed[-1:] if self._child is not None else []
        return " | ".join([text, *map(self.redact, printed)])


class _Clock:
    """The deadline of a request, and of its next sign of life; none is later than the end of everything."""

    def __init__(self, deadline_s: float, stall_s: float | None, ends: float, limit_s: float) -> None:
        self._stall_s = stall_s
        self._end = min(time.monotonic() + deadline_s, ends)
        self._why = f"no answer in {deadline_s:.0f} s"
        if self._end == ends:
            self._why = f"the limit of {limit_s:.0f} s for everything is reached (--limit)"
        self._where = -1
        self._still = self._end if stall_s is None else time.monotonic() + stall_s

    def until(self) -> float:
        """Return when to give up."""
        return min(self._end, self._still)

    def saw(self, message: Mapping[str, Any]) -> None:
        """Take note of a message; an upload that reports the same position again has not moved."""
        where = message.get("moved")
        if self._stall_s is not None and where != self._where:
            self._still = time.monotonic() + self._stall_s
        self._where = where if where is not None else self._where

    def error(self, what: str) -> Unclear:
        """Return what ran out."""
        if self._stall_s is not None and self._still <= self._end:
            return Stalled(what, f"it stood still for {self._stall_s:.0f} s")
        return Unclear(what, self._why)
