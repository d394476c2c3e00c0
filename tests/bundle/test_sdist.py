import hashlib
import http.server
import json
import threading
from contextlib import contextmanager

import pytest

from bundle.sdist import PinnedSdist, fetch, pip_setting, read_pin
from kit.errors import KitError

DATA = b"the one and only content" * 100
PIN = PinnedSdist("thing", "1.0", "thing-1.0.tar.gz", hashlib.sha256(DATA).hexdigest())


class Index(http.server.BaseHTTPRequestHandler):
    """A package index: `/simple/thing/` links to `/files/...`; what is served is set by `serving`."""

    pages: dict  # path -> (status, content type, body, announced length)
    seen: list

    def do_GET(self):
        self.seen.append(self.path)
        status, kind, body, length = self.pages.get(self.path, (404, "text/plain", b"", 0))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def serving(monkeypatch, *, file=DATA, announced=None, link=PIN.file, status=200):
    listing = f'<html><body><a href="/files/{link}">{link}</a></body></html>'.encode()
    pages = {
        "/simple/thing/": (200, "text/html", listing, len(listing)),
        f"/files/{link}": (status, "application/octet-stream", file, announced or len(file)),
    }
    handler = type("Handler", (Index,), {"pages": pages, "seen": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    try:
        yield handler.seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_is_downloaded_once_and_then_kept(monkeypatch, tmp_path):
    with serving(monkeypatch) as seen:
        path = fetch(PIN, tmp_path / "cache")
        assert path.read_bytes() == DATA
        assert seen == ["/simple/thing/", f"/files/{PIN.file}"]
        assert fetch(PIN, tmp_path / "cache") == path
        assert len(seen) == 2


def test_a_damaged_copy_in_the_cache_is_replaced(monkeypatch, tmp_path):
    (tmp_path / PIN.file).write_bytes(DATA[:-1])
    with serving(monkeypatch):
        assert fetch(PIN, tmp_path).read_bytes() == DATA


def test_without_a_network_the_message_says_how_to_go_on(monkeypatch, tmp_path):
    with serving(monkeypatch):
        pass  # the port is closed again
    with pytest.raises(KitError, match=r"thing-1\.0\.tar\.gz cannot be downloaded") as told:
        fetch(PIN, tmp_path)
    assert "HTTPS_PROXY" in str(told.value)
    assert f"download thing-1.0.tar.gz on a machine that can, and put it into {tmp_path}" in str(told.value)
    assert not list(tmp_path.iterdir())
    # The advice works: `bundle build` and `bundle wheel mmcv` have --cache, and take the file from there.
    (tmp_path / PIN.file).write_bytes(DATA)
    assert fetch(PIN, tmp_path) == tmp_path / PIN.file


@pytest.mark.parametrize(
    ("served", "told"),
    [
        ({"file": DATA + b"!"}, r"thing-1\.0\.tar\.gz is not the pinned file: 2401 bytes"),
        (
            {"file": DATA[:100], "announced": len(DATA)},
            r"thing-1\.0\.tar\.gz cannot be downloaded: .*IncompleteRead",
        ),
        ({"file": b"", "status": 503}, r"thing-1\.0\.tar\.gz cannot be downloaded: 503"),
        ({"link": "thing-2.0.tar.gz"}, r"the package index has no thing-1\.0\.tar\.gz"),
    ],
    ids=["other content", "truncated", "server error", "only another version"],
)
def test_what_the_index_gets_wrong_is_told_and_nothing_is_kept(monkeypatch, tmp_path, served, told):
    with serving(monkeypatch, **served), pytest.raises(KitError, match=told) as refused:
        fetch(PIN, tmp_path)
    assert "127.0.0.1" in refused.value.where
    assert not list(tmp_path.iterdir())


def test_an_index_without_the_project_is_told(monkeypatch, tmp_path):
    other = PinnedSdist("unknown", "1.0", "unknown-1.0.tar.gz", PIN.sha256)
    with serving(monkeypatch), pytest.raises(KitError, match="the package index has no project unknown"):
        fetch(other, tmp_path)


def test_pip_settings_come_from_the_environment_then_from_its_files(monkeypatch, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://127.0.0.1:9/from-file\n")
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert pip_setting("index-url") == "http://127.0.0.1:9/from-file"
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/from-environment")
    assert pip_setting("index-url") == "http://127.0.0.1:9/from-environment"
    assert pip_setting("retries") is None


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"name": "thing"}, "version is missing"),
        ({**vars(PIN), "url": "x"}, "unknown key url"),
        ({**vars(PIN), "sha256": "abc"}, "the pinned sha256 does not have 64 hex digits"),
    ],
)
def test_a_malformed_pin_is_refused(tmp_path, record, told):
    path = tmp_path / "sdist.json"
    path.write_text(json.dumps(record))
    with pytest.raises(KitError, match=told):
        read_pin(path)
