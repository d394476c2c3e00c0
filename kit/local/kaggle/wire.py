"""Calls to Kaggle: each has a deadline, and each ends as an answer, a refusal, or openly unclear."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from kit.local.kaggle.exchange import Exchange
from kit.local.kaggle.outcome import Answer, Unclear, reason_of
from kit.local.kaggle.patience import Patience
from kit.local.kaggle.sending import BlobType, send_file

T = TypeVar("T")
_MD5 = re.compile("[A-Za-z0-9+/]{22}==")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class RemoteFile:
    """A file as the server has it.

    Attributes:
        size: bytes; None if the server does not tell it.
        md5: base64, as in X-Goog-Hash; None if the server does not tell it.
        sha256: hex, counted over the bytes that came; None if none were asked for.
    """

    size: int | None
    md5: str | None
    sha256: str | None = None


class Wire:
    """One child process with the official client; started at the first call, again after a kill.

    A wire does one thing at a time and belongs to one thread. Use several for parallel uploads.

    Args:
        scratch: folder for the client's own files. Made with mode 0700.
        patience: limits.
        on_line: gets what the client prints and why something is repeated, without secrets.
    """

    def __init__(
        self,
        *,
        scratch: Path,
        patience: Patience | None = None,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._exchange = Exchange(scratch, patience or Patience(), on_line)

    @property
    def patience(self) -> Patience:
        """The limits; another patience counts from the next call on."""
        return self._exchange.patience

    @patience.setter
    def patience(self, patience: Patience) -> None:
        self._exchange.patience = patience

    @property
    def ends(self) -> float:
        """The monotonic time at which the limit for everything is reached; calls end then, too."""
        return self._exchange.ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self._exchange.close()

    def abort(self) -> None:
        """Make a call that runs in another thread give up."""
        self._exchange.abort()

    def credentials(self) -> dict[str, Any]:
        """Return what the client found: `name`, `way`, `token_source`, `config`, `trouble`; no values."""
        return self._exchange.patiently(self._exchange.credentials)

    def rpc(
        self,
        method: str,
        request: Mapping[str, Any] = _NOTHING,
        *,
        writes: bool = False,
        never_empty: bool = False,
        deadline_s: float | None = None,
    ) -> Answer:
        """Do one call.

        Args:
            method: "datasets.GetDatasetStatus": a part of the SDK and the name of its call.
            request: fields in camelCase, as on the wire.
            writes: it is sent once, as it changes something. Others are repeated while a fault may pass.
            never_empty: an answer without any value is none; of calls that write it always is.
            deadline_s: for one answer; the patience's `rpc` if None.

        Raises:
            Refused: the server said no.
            Unclear: the answer is lost, or is none; `CutOff` if a read was ended by the limit for everything.
            Unreachable: nothing was sent.
        """

        def once() -> Answer:
            reply = self._exchange.ask(method, deadline_s, do="rpc", method=method, request=dict(request))
            answer = self._exchange.judge(method, reply, writes=writes)
            if (writes or never_empty) and not reply["told"]:
                raise _tells_nothing(method, answer, self._exchange.redact(reason_of(reply["body"])))
            return answer

        return once() if writes else self._exchange.patiently(once)

    def head(self, method: str, request: Mapping[str, Any], *, deadline_s: float | None = None) -> RemoteFile:
        """Return size and md5 of a file that a call leads to; its bytes are not read.

        Raises:
            CallError: as `rpc`.
        """

        def once() -> RemoteFile:
            reply = self._exchange.ask(method, deadline_s, do="head", method=method, request=dict(request))
            # A server that sends files itself sends ours that are JSON as it sends an answer.
            answered = reply["status"] >= 400 or reply["body"]
            if answered and not any(self._exchange.judge(method, reply).value.values()):
                raise Unclear(method, "an empty answer in place of a file")
            return _remote(reply)

        return self._exchange.patiently(once)

    def download(
        self,
        method: str,
        request: Mapping[str, Any],
        to: Path,
        *,
        stall_s: float | None = None,
        deadline_s: float | None = None,
    ) -> RemoteFile:
        """Save a file that a call leads to, whole or not at all.

        Args:
            method: as in `rpc`, e.g. "datasets.DownloadDataset".
            request: as in `rpc`.
            to: the file; its folder exists. It appears when all bytes have come.
            stall_s: how long the bytes may stand still.
            deadline_s: for the whole file.

        Raises:
            CallError: as `rpc`; a short or damaged body is `Unclear` after all tries.
        """

        def once() -> RemoteFile:
            part = to.with_name(f".{to.name}.{secrets.token_hex(4)}.tmp")
            try:
                work: dict[str, Any] = {
                    "do": "download",
                    "method": method,
                    "request": dict(request),
                    "to": str(part),
                }
                reply = self._exchange.ask(
                    method, deadline_s or self.patience.limit, stall_s=stall_s or self.patience.stall, **work
                )
                if reply["status"] >= 400:
                    self._exchange.judge(method, reply)
                told, got = _remote(reply), RemoteFile(reply["size"], reply["md5"], reply["sha256"])
                plain = "content-encoding" not in reply["headers"]
                if (plain and told.size not in (None, got.size)) or told.md5 not in (None, got.md5):
                    raise Unclear(method, f"{to.name} came damaged: {got.size} of {told.size} bytes")
                part.replace(to)
                return got
            finally:
                part.unlink(missing_ok=True)

        return self._exchange.patiently(once)

    def upload(
        self,
        staged: Path,
        blob_type: BlobType,
        *,
        records: Path | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
        stall_s: float | None = None,
        deadline_s: float | None = None,
    ) -> str:
        """Send one file, from where a former try or run stopped; return its blob token.

        Args:
            staged: absolute path that changes with the content; its folder holds this file alone.
            blob_type: what the blob will be a part of.
            records: folder where the client keeps what it has sent; one for each build. Made with mode 0700;
                `scratch` if None.
            on_bytes: gets the number of bytes that are sent.
            stall_s: how long the upload may stand still before the client is killed and started again.
            deadline_s: for the whole file.

        Raises:
            CallError: the server does not take the file, or it did not get through in time.
        """
        limits = (stall_s or self.patience.stall, deadline_s or self.patience.limit)
        place = records or self._exchange.scratch
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return send_file(self._exchange, staged, blob_type, records=place, on_bytes=on_bytes, limits=limits)

    def log_lines(
        self, kernel: str, *, stall_s: float | None = None, deadline_s: float | None = None
    ) -> Iterator[str]:
        """Yield the lines of a kernel's log, as they come.

        Args:
            kernel: "owner/slug/version".
            stall_s: how long it may say nothing.
            deadline_s: for the whole log.

        Raises:
            CallError: the log cannot be read, or stands still.
        """
        method = f"the log of {kernel}"
        deadline = deadline_s or self.patience.limit
        for message in self._exchange.messages(
            method, deadline, stall_s or self.patience.stall, {"do": "log", "kernel": kernel}
        ):
            if "line" in message:
                yield self._exchange.redact(message["line"])
            elif message["done"]["status"] >= 400:
                self._exchange.judge(method, message["done"])


def _tells_nothing(method: str, answer: Answer, words: str) -> Unclear:
    return Unclear(method, f"the answer ({answer.status}) says nothing of it: {words or 'it is empty'}")


def _remote(reply: Mapping[str, Any]) -> RemoteFile:
    """Size and md5 of a file from the headers: `X-Goog-Hash: crc32c=n03x6A==,md5=Ojk9c3dh...`."""
    headers = reply["headers"]
    length = headers.get("content-length", "")
    hashes = dict(part.strip().partition("=")[::2] for part in headers.get("x-goog-hash", "").split(","))
    # The length of a compressed transfer is not the file's.
    plain = length.isdecimal() and "content-encoding" not in headers
    md5 = hashes.get("md5", "")
    # Of another form it is none that can be compared; the bytes are read then.
    return RemoteFile(int(length) if plain else None, md5 if _MD5.fullmatch(md5) else None)
