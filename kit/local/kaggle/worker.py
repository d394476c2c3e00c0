"""The child process: imports the official client, does one request after another, answers on its own pipe.

    python -P -m kit.local.kaggle.worker FD

A request is one line of JSON on stdin, `{"id": 1, "do": "rpc", ...}`. An answer is one line of JSON on the
pipe with the number FD. Standard output is not used for answers, because the client prints to it: warnings,
progress, errors. The parent decides how long to wait; it kills this process when nothing moves.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import inspect
import io
import json
import os
import queue
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from kit.local.kaggle.answer_form import Misfit, in_one_form
from kit.local.kaggle.outcome import NO_WAY_ON

_BLOCK = 1 << 20
_EARLY = timedelta(minutes=2)
_LOOKS = 0.5
"""Seconds between two reports of an upload's position."""


class Lost(Exception):  # noqa: N818 - a way out of a request, not an error to catch
    """No HTTP answer came back."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class Login:
    """The token of a login (OAuth), which ends after some hours; other credentials have no end here."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._expires = self._read_expiry()

    def renew(self) -> None:
        """Renew a token that has expired or soon will; a failure shows in the next call.

        The client itself takes such a token until half an hour after its end (kaggle 2.2.5), and asks only
        when it starts.
        """
        if self._expires is None or datetime.now(UTC) < self._expires - _EARLY:
            return
        from kagglesdk import KaggleCredentials

        # Whatever goes wrong, the server's own no will say it.
        with suppress(Exception), self._api.build_kaggle_client() as client:
            credentials = KaggleCredentials.load(client=client)
            if credentials is not None:
                credentials.refresh_access_token()
                self._api.config_values["token"] = credentials.get_access_token()
        self._expires = self._read_expiry()

    def _read_expiry(self) -> datetime | None:
        """Read from the client's file when the token ends."""
        if self._api.config_values.get("auth_method") != "OAUTH":
            return None
        try:
            text = json.loads(Path("~/.kaggle/credentials.json").expanduser().read_text(encoding="utf-8"))
            return datetime.fromisoformat(text["access_token_expiration"]).astimezone(UTC)
        except (OSError, ValueError, KeyError, TypeError):
            return None


class Session:
    """The official client, authenticated, and what this process can do with it."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        import kaggle
        from kaggle.api.kaggle_api_extended import KaggleApi

        class Client(KaggleApi):  # type: ignore[misc]  # the client has no types
            # The client's own loop sends a file ten times without a pause (kaggle 2.2.5, `_upload_blob`); the
            # parent repeats with pauses.
            MAX_UPLOAD_RESUME_ATTEMPTS = 1
            last: Any = None

            def upload_complete(self, path: str, url: str, quiet: bool, resume: bool = False) -> Any:
                self.last = super().upload_complete(path, url, quiet, resume=resume)
                return self.last

        self._say = say
        self.trouble = ""
        self._answer_type: Any = None
        # The import has authenticated and has swallowed what went wrong; a second try tells it.
        self._api = kaggle.api
        if not kaggle.api._authenticated:  # noqa: SLF001 - there is no other way to ask
            try:
                self._api.authenticate()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the parent tells it
                self.trouble = f"{type(error).__name__}: {error}"
        self._client = Client()
        self._client.config_values = self._api.config_values
        self.login = Login(self._api)

    def credentials(self) -> dict[str, Any]:
        """Return who the client takes the user for, and why; no values of credentials."""
        from kagglesdk.kaggle_env import get_access_token_from_env

        values = self._api.config_values
        try:
            token, source = get_access_token_from_env()
        except OSError:  # a token of more than 255 characters, which the client looks for as a file
            token, source = "x", "KAGGLE_API_TOKEN"
        return {
            "name": values.get("username", ""),
            "way": values.get("auth_method", ""),
            "token_source": source if token else None,
            "config": str(self._api.config),
            "trouble": self.trouble,
        }

    # --- remote procedure calls ---

    def rpc(self, *, method: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do a call; return status, headers, body, `told`: whether a field that the SDK knows has a value."""
        response = self._call(method, request)
        fine = response.status_code < 400
        body, told = _in_one_form(self._answer_type, response.text) if fine else (response.text, False)
        return {"status": response.status_code, "headers": _headers(response), "body": body, "told": told}

    def _call(self, method: str, request: Mapping[str, Any]) -> Any:
        from requests.exceptions import HTTPError, RequestException

        values = self._api.config_values
        seen: list[Any] = []
        # A new client for each call, as the official commands do it: an old connection that the server has
        # closed would make the fate of a write unknown.
        with self._client.build_kaggle_client_with_params(
            args=self._api.args,
            username=values.get("username"),
            password=values.get("key"),
            api_token=values.get("token"),
            response_processor=seen.append,
        ) as client:
            function, request_type = find(client, method)
            self._answer_type = inspect.signature(function).return_annotation
            message = build(request_type, request, method)
            try:
                function(message)
            except HTTPError as error:
                if error.response is None:
                    raise Lost(str(error), sent=True) from error
                return error.response
            except RequestException as error:
                raise Lost(_why(error), sent=not _never_sent(error)) from error
            except Exception as error:
                # The SDK could not read the body: HTML, or an enum value that is newer than the SDK.
                if not seen:
                    raise Lost(f"{type(error).__name__}: {error}", sent=True) from error
            return seen[-1]

    # --- files ---

    def head(self, *, method: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a file and read only the headers: its size and, where the store tells it, its md5."""
        response = self._call(method, request)
        with response:
            body = response.text if response.status_code >= 400 or _is_json(response) else ""
            return {"status": response.status_code, "headers": _headers(response), "body": body}

    def download(self, *, method: str, request: Mapping[str, Any], to: str) -> dict[str, Any]:
        """Save a file; the parent compares length and hashes."""
        from requests.exceptions import RequestException

        response = self._call(method, request)
        with response:
            if response.status_code >= 400:
                return {
                    "status": response.status_code,
                    "headers": _headers(response),
                    "body": response.text,
                }
            sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
            try:
                with Path(to).open("wb") as file:
                    for block in response.iter_content(_BLOCK):
                        file.write(block)
                        sha256.update(block)
                        md5.update(block)
                        size += len(block)
                        self._say({"moved": size})
            except RequestException as error:
                raise Lost(_why(error), sent=True) from error
            hashes = {
                "sha256": sha256.hexdigest(),
                "md5": base64.b64encode(md5.digest()).decode(),
                "size": size,
            }
            return {"status": response.status_code, "headers": _headers(response), "body": "", **hashes}

    def upload(self, *, path: str, blob_type: str, records: str, afresh: bool) -> dict[str, Any]:
        """Send one file, from where a former try stopped; returns its blob token.

        Args:
            path: absolute; its folder holds this file alone.
            blob_type: "DATASET" or "MODEL".
            records: folder for the client's record of what is sent; it finds the record by the path alone.
            afresh: forget what a former try sent.
        """
        from kaggle.api.kaggle_api_extended import ResumableUploadContext, ResumableUploadResult
        from kagglesdk.blobs.types.blob_api_service import ApiBlobType
        from kagglesdk.datasets.types.dataset_api_service import ApiCreateDatasetRequest
        from requests.exceptions import HTTPError, RequestException

        request = ApiCreateDatasetRequest()
        request.files = []
        stop = threading.Event()
        watch = threading.Thread(target=self._watch, args=(path, stop), daemon=True)
        watch.start()
        tempfile.tempdir = records  # the client asks there, and nowhere else, for its folder
        context = ResumableUploadContext()
        info = Path(context.get_upload_info_file_path(path))
        if afresh:
            info.unlink(missing_ok=True)
        try:
            with context:
                folder = str(Path(path).parent)
                self._client.upload_files(request, None, folder, ApiBlobType[blob_type], context, quiet=True)
        except HTTPError as error:
            if error.response is None:
                raise Lost(str(error), sent=False) from error
            answer = error.response
            return {"status": answer.status_code, "headers": _headers(answer), "body": answer.text}
        except RequestException as error:
            raise Lost(_why(error), sent=not _never_sent(error)) from error
        except ValueError as error:  # "Upload unsuccessful": the client has printed the reason, or nothing
            if self._client.last == ResumableUploadResult.EXPIRED or not _has_address(info):
                info.unlink(
                    missing_ok=True
                )  # the client keeps such a session and would use it again and again
            text = NO_WAY_ON if self._client.last == ResumableUploadResult.FAILED else "it broke off"
            raise Lost(f"{error}; {text}", sent=True) from error
        finally:
            stop.set()
            watch.join()
        [file] = request.files
        return {"status": 200, "headers": {}, "body": "", "token": file.token}

    def _watch(self, path: str, stop: threading.Event) -> None:
        """Report how far the client has read the file."""
        # The client opens the file without a buffer of Python's, so the kernel's offset is what went into the
        # socket: /proc/self/fdinfo/7 says "pos: 8388608".
        while not stop.wait(_LOOKS):
            if (offset := _offset(path)) is not None:
                self._say({"moved": offset})

    def log(self, *, kernel: str) -> dict[str, Any]:
        """Report the lines of a kernel's log while it runs."""
        from requests.exceptions import HTTPError, RequestException

        try:
            for event in self._client.kernels_logs_stream(kernel):
                self._say({"line": str(event.get("data", ""))})
        except HTTPError as error:
            if error.response is None:
                raise Lost(str(error), sent=True) from error
            answer = error.response
            return {"status": answer.status_code, "headers": _headers(answer), "body": answer.text}
        except ValueError as error:  # the client's words for 401 and 403
            return {"status": 403, "headers": {}, "body": str(error)}
        except RequestException as error:
            raise Lost(_why(error), sent=True) from error
        return {"status": 200, "headers": {}, "body": ""}


def find(client: Any, method: str) -> tuple[Callable[[Any], Any], type]:
    """Return the SDK's function of a call, "kernels.SaveKernel" -> save_kernel, and its request's type."""
    room, _, name = method.partition(".")
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    for part in vars(getattr(client, room)).values():
        if function := getattr(part, snake, None):
            return function, inspect.signature(function).parameters["request"].annotation
    raise ValueError(f"kagglesdk has no call {method}")


def build(request_type: Any, value: Mapping[str, Any], method: str) -> Any:
    """Return the SDK's request of a plain value; the SDK itself passes over fields that it does not know."""
    _check_fields(request_type, value, method)
    return request_type.from_dict(dict(value))


def _check_fields(request_type: Any, value: Mapping[str, Any], method: str) -> None:
    known = {field.json_name: field.field_type for field in request_type._fields}
    for name, item in value.items():
        if name not in known:
            raise ValueError(f"{method} has no field {name}")
        for part in item if isinstance(item, list) else [item]:
            if isinstance(part, Mapping) and hasattr(known[name], "_fields"):
                _check_fields(known[name], part, method)


def _headers(response: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _is_json(response: Any) -> bool:
    # A file that is JSON itself comes from the store, after a redirect.
    return not response.history and "json" in response.headers.get("Content-Type", "")


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _never_sent(error: BaseException) -> bool:
    """Whether a request failed before a connection stood, or before its other end had shown who it is."""
    from ssl import SSLCertVerificationError

    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    # requests wraps urllib3 wraps the cause: ConnectionError(MaxRetryError(reason=NewConnectionError(...))).
    seen: list[BaseException] = [error]
    for item in seen:
        if isinstance(item, NewConnectionError | ConnectTimeoutError | SSLCertVerificationError):
            return True
        parts = (*item.args, getattr(item, "reason", None), getattr(item, "original_error", None))
        seen += [part for part in parts if isinstance(part, BaseException) and part not in seen]
    return False


def _offset(path: str) -> int | None:
    """Return how far this process has read a file that it holds open; None if it does not."""
    for link in Path("/proc/self/fd").iterdir():
        try:
            if str(link.readlink()) == path:
                text = Path("/proc/self/fdinfo", link.name).read_text(encoding="ascii")
                return int(text.split()[1])
        except OSError:
            continue  # closed meanwhile
    return None


def _has_address(info: Path) -> bool:
    """Whether the client's record of an upload has an address to send to; an empty answer leaves none."""
    try:
        answer = json.loads(info.read_text(encoding="utf-8"))["start_blob_upload_response"]
        return bool(answer["createUrl"] and answer["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _in_one_form(answer_type: Any, body: str) -> tuple[str, bool]:
    """Return the body of an answer in one form; text that is no JSON object as it is."""
    try:
        value = json.loads(body)
        if not isinstance(value, dict):
            return body, False
        value = in_one_form(answer_type, value)
    except Misfit as misfit:
        raise Lost(str(misfit), sent=True) from misfit
    except (ValueError, RecursionError):
        return body, False
    return json.dumps(value), any(value.get(field.json_name) for field in answer_type._fields)


def aim() -> None:
    """Lead the client to the server that the variables name.

    The client knows LOCALHOST and takes every other KAGGLE_API_ENVIRONMENT for the real Kaggle (kaggle 2.2.5,
    `KaggleApi.args`), although its SDK has an address for TEST. `child_environment` lets no others through.
    KAGGLE_API_ENDPOINT is a variable of older clients: "http://127.0.0.1:8080", with or without "/api/v1".
    """
    from kagglesdk import kaggle_env

    endpoint = os.environ.get("KAGGLE_API_ENDPOINT", "").rstrip("/").removesuffix("/api/v1")
    if not endpoint and os.environ.get("KAGGLE_API_ENVIRONMENT") == "TEST":
        endpoint = kaggle_env.get_endpoint(kaggle_env.KaggleEnv.TEST)
    if endpoint:
        # There is no other way: the client makes its connections itself, for "LOCAL" or for the real Kaggle.
        kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.LOCAL] = endpoint  # noqa: SLF001
        os.environ["KAGGLE_API_ENVIRONMENT"] = "LOCALHOST"


def _listen(source: TextIO, requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass requests on. At the end of the input the parent is dead: stop at once, also in mid-request."""
    for line in source:
        requests.put(json.loads(line))
    os._exit(1)


def main() -> None:
    """Answer requests until the parent closes our input."""
    pipe = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    lock = threading.Lock()
    current: dict[str, int] = {"id": 0}

    def say(message: dict[str, Any]) -> None:
        with lock:
            pipe.write(json.dumps({"id": current["id"], **message}) + "\n")
            pipe.flush()

    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    # The client calls `exit(1)` where it finds no credentials, and Python's `exit` closes sys.stdin first.
    # That would wait for ever for the thread that reads it, so sys.stdin becomes another file.
    source, sys.stdin = sys.stdin, io.StringIO()
    threading.Thread(target=_listen, args=(source, requests), daemon=True).start()
    # Most of what `import kaggle` imports, but without its question to the server. While all cores train,
    # this takes half a minute; the parent's deadline for the server's answer begins afterwards.
    importlib.import_module("kagglesdk.kaggle_client")
    aim()
    say({"awake": True})
    session = Session(say)
    say({"done": session.credentials()})
    while True:
        request = requests.get()
        current["id"] = request.pop("id")
        session.login.renew()
        try:
            say({"done": getattr(session, request.pop("do"))(**request)})
        except Lost as lost:
            say({"lost": str(lost), "sent": lost.sent})
        except Exception as error:  # noqa: BLE001 - the parent shows it as a fault of ours
            say({"fault": _why(error)})


if __name__ == "__main__":
    main()
