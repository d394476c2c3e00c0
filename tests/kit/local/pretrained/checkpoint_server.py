"""A web server on this machine that serves one file, with the faults of real ones."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Faults:
    """What goes wrong; counts go down with each request they concern.

    Attributes:
        cut_after: body bytes after which the connection is closed, one entry a request.
        stall_after: body bytes after which nothing more comes, though the connection stays.
        refuse: status codes that the next requests are answered with.
        always: one code for every request.
        ranges: whether byte ranges are understood.
        validators: whether ETag and Last-Modified are sent.
        says_length: whether the size is told.
        lies: bytes by which the told size is too small.
        kind: content type.
        redirects: redirections in front of the file.
    """

    cut_after: list[int] = field(default_factory=list)
    stall_after: int = 0
    refuse: list[int] = field(default_factory=list)
    always: int = 0
    ranges: bool = True
    validators: bool = True
    says_length: bool = True
    lies: int = 0
    kind: str = "application/octet-stream"
    redirects: int = 0


@dataclass
class Server:
    """The running server: change `data`, `tag` and `faults` between requests, look at `requests` after."""

    url: str
    data: bytes
    tag: str = '"v1"'
    faults: Faults = field(default_factory=Faults)
    requests: list[dict] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def log_message(self, *args):
        pass

    def do_GET(self):
        state = self.server.state
        faults = state.faults
        asked = {key: self.headers.get(key) for key in ("Range", "If-Range", "Authorization")}
        state.requests.append({"path": self.path, **asked})
        code = faults.always or (faults.refuse.pop(0) if faults.refuse else 0)
        if code:
            self.answer(code, b"no", {})
        elif faults.redirects:
            faults.redirects -= 1
            place = f"{self.path.partition('?')[0]}?signature={faults.redirects}"
            self.answer(302, b"", {"Location": place})
        else:
            self.serve(state, faults, asked)

    def serve(self, state, faults, asked):
        first, headers = 0, {"Content-Type": faults.kind}
        if faults.validators:
            headers["ETag"] = state.tag
        if asked["Range"] and faults.ranges and asked["If-Range"] in {None, state.tag}:
            first = int(asked["Range"].removeprefix("bytes=").removesuffix("-"))
            if first >= len(state.data):
                self.answer(416, b"", {"Content-Range": f"bytes */{len(state.data)}"})
                return
            headers["Content-Range"] = f"bytes {first}-{len(state.data) - 1}/{len(state.data)}"
        body = state.data[first:]
        if faults.says_length:
            headers["Content-Length"] = str(len(body) - faults.lies)
        if faults.cut_after:
            body = body[: faults.cut_after.pop(0)]
        if faults.stall_after:
            body = body[: faults.stall_after]
        self.answer(206 if first else 200, body, headers)
        if faults.stall_after:
            self.wfile.flush()
            state.ended.wait()

    def answer(self, code, body, headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


class _Http(ThreadingHTTPServer):
    state: Server


@contextmanager
def serving(name: str, data: bytes):
    """Serve `data` as `/name` while the block runs."""
    with _Http(("127.0.0.1", 0), _Handler) as http:
        http.state = Server(f"http://127.0.0.1:{http.server_port}/{name}", data)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.state
        finally:
            http.state.ended.set()
            http.shutdown()
            thread.join()
