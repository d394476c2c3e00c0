"""The HTTP side: one port that takes a proxy's requests, direct ones, and faults."""

import base64
import contextlib
import importlib
import json
import re
import socket
import ssl
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.kaggle_server import blobs, datasets
from tests.kaggle_server.calls import dispatch
from tests.kaggle_server.world import Problem, Reply, World

ROOMS = ("blobs", "datasets", "models", "oauth", "kernels", "competitions")
"""Modules that register calls."""
GETS = {}
"""Start of a path after /v1/ -> function (world, path, query) -> Reply: what is no call, a kernel's log."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing: tests read what the product prints."""

    def do_CONNECT(self):
        """Be the host that the client asks its proxy for, whichever it is: TLS with our own certificate."""
        if self.server.tls is None:
            self._answer(Reply(405))
            return
        self.server.hosts.add(self.path)
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.setup()
        self.close_connection = False

    def finish(self):
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            self.request.close()  # the server closes the socket that it knows, which is another one

    def do_POST(self):
        service = re.fullmatch(r".*/v1/(\w+)\.\w+/(\w+)", self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        event = f"{service[1]}.{service[2]}" if service else "unknown"
        self._serve(event, lambda: self._rpc(event, body))

    def _rpc(self, event, body):
        world = self.server.world
        if event not in {"security.IntrospectToken", "users.GenerateAccessToken"}:
            self._authenticate(world)
        try:
            request = json.loads(body or b"{}")
        except ValueError as error:
            raise Problem(400, "no JSON") from error
        return dispatch(world, event, request)

    def do_PUT(self):
        world = self.server.world
        fault = world.faults.take("blobs.PUT")
        if fault is None or fault.kind not in ("hang", "status", "drop_before"):
            reply = blobs.put(world, self.path, self.headers, self.rfile, fault)
            if fault is not None and fault.kind == "drop_after":
                reply = None
        elif fault.kind == "drop_before":
            reply = None
        else:
            if fault.kind == "status":
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = self._struck(fault)
        self._answer(reply)

    def do_GET(self):
        world = self.server.world
        if "/storage/" in self.path:
            self._serve("files.GET", lambda: datasets.stored(world, self.path))
            return
        path, _, query = self.path.partition("/v1/")[2].partition("?")
        start = next((start for start in GETS if path.startswith(start)), None)
        if start is None:
            self._answer(Reply(404, b"{}"))
            return

        def work():
            self._authenticate(world)
            return GETS[start](world, path, query)

        self._serve(start, work)

    def _authenticate(self, world):
        header = self.headers.get("Authorization", "")
        key = base64.b64encode(f"{world.name}:{world.key}".encode()).decode()
        known = header == f"Basic {key}" or (header == f"Bearer {world.token}" and world.token_active)
        if known and not world.faults.expired:
            return
        raise Problem(401, "Unauthenticated")

    def _serve(self, event, work):
        world = self.server.world
        fault = world.faults.take(event)
        kind = fault.kind if fault else None
        if kind == "drop_before":
            self._answer(None)
        elif kind in ("status", "hang", "error_200", "empty_200", "html_200"):
            self._answer(self._struck(fault))
        else:
            try:
                value = work()
            except Problem as problem:
                value = error(problem.status, problem.text)
            if world.other_form and isinstance(value, dict):
                value = {**in_other_form(value), "notKnownToTheSdk": {"code": 1}}
            reply = value if isinstance(value, Reply) else as_json(200, value)
            if kind in ("truncate", "stand_still") and reply.status == 200:
                self._cut(reply, fault)
                return
            if kind == "flip_byte" and reply.body:
                reply.body = bytes([reply.body[0] ^ 1]) + reply.body[1:]
            self._answer(None if kind == "drop_after" else reply)

    def _struck(self, fault):
        """The answer of a fault that keeps the call from being done."""
        world = self.server.world
        if fault.kind == "hang":
            world.stand_still()
            return None
        if fault.kind == "error_200":
            return as_json(200, fault.argument or {"code": 400, "message": "an error in a 200"})
        if fault.kind == "empty_200":
            return as_json(200, {})
        if fault.kind == "html_200":
            return Reply(
                200, b"<!DOCTYPE html><html><body>Kaggle</body></html>", {"Content-Type": "text/html"}
            )
        given = fault.argument if isinstance(fault.argument, tuple) else (fault.argument or 503,)
        code, pause, reason = (*given, None, None)[:3]
        reply = error(code, reason or f"fault {code}")
        if pause is not None:
            reply.headers["Retry-After"] = str(pause)
        return reply

    def _cut(self, reply, fault):
        """Announce the whole body, send a half of it, hang up at once or (`stand_still`) never."""
        self._name_host(reply)
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2])
        if fault.kind == "stand_still":
            self.server.world.stand_still()
        self._hang_up()

    def _answer(self, reply):
        if reply is None:
            self._hang_up()
            return
        self._name_host(reply)
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
        except OSError:
            self.close_connection = True  # the client was killed meanwhile

    def _name_host(self, reply):
        """Write the address of this server for {base}."""
        reply.headers = {
            name: value.replace("{base}", self.server.base) for name, value in reply.headers.items()
        }
        if reply.headers.get("Content-Type") == "application/json":
            reply.body = reply.body.replace(b"{base}", self.server.base.encode())

    def _hang_up(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def as_json(status, value):
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def in_other_form(value, name=""):
    """The same answer in forms that the SDK reads, too: "blobsReceived", numbers of bytes as text."""
    if isinstance(value, dict):
        return {key: in_other_form(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [in_other_form(item, name) for item in value]
    if name == "status" and isinstance(value, str):
        first, *others = value.lower().split("_")
        return first + "".join(map(str.capitalize, others))
    return str(value) if name in {"totalBytes", "ref", "versionNumber"} else value


def error(status, text):
    """A refusal as the live server writes it: nested, so that the SDK does not see it."""
    return as_json(status, {"error": {"code": status, "message": text, "status": "REFUSED"}})


class Server:
    """Runs in a thread; `with Server(World()) as server: ... server.environment(home)`.

    With `certificates`, a folder that `certificates.make` has filled, it is a proxy that plays all hosts of
    Kaggle over TLS; without, it takes the client's plain requests to "localhost".
    """

    def __init__(self, world=None, *, certificates=None):
        for room in ROOMS:
            importlib.import_module(f"tests.kaggle_server.{room}")
        self.world = world or World()

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                """Keep what is wrong with this server. A client that was killed is no such fault."""
                problem = sys.exception()
                if not isinstance(problem, OSError):
                    self.world.broken.append("".join(traceback.format_exception(problem)))

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.world = self.world
        self.hosts = self.http.hosts = set()  # "api.kaggle.com:443": asked for by CONNECT
        self.http.base = "https://storage.googleapis.com" if certificates else "http://localhost"
        self._certificates, self.http.tls = certificates, None
        if certificates:
            self.http.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.http.tls.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        self._thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.world.rooms.setdefault("hanging", threading.Event()).set()
        self.http.shutdown()
        self.http.server_close()
        assert not self.world.broken, "\n".join(self.world.broken)

    def environment(self, home, *, way="key"):
        """Variables with which the official client comes here; `way`: "key", "token", "none"."""
        proxy = f"http://127.0.0.1:{self.http.server_port}"
        values = {"HTTP_PROXY": proxy, "HOME": str(home)}
        if self._certificates:
            values |= {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(self._certificates / "ca.pem")}
        else:
            values |= {"KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
        if way == "key":
            values |= {"KAGGLE_USERNAME": self.world.name, "KAGGLE_KEY": self.world.key}
        if way == "token":
            values |= {"KAGGLE_API_TOKEN": self.world.token}
        return values


REMOVED = (
    "NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
    "ALL_PROXY", "all_proxy",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "KAGGLE_API_ENVIRONMENT", "KAGGLE_API_TOKEN", "KAGGLE_KEY",
    "KAGGLE_USERNAME", "KAGGLE_API_ENDPOINT", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME", "VERBOSE",
)  # fmt: skip
"""Variables of this machine that would lead the client elsewhere."""
