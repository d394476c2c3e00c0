"""Downloads from a real server on this machine that misbehaves as real servers do."""

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.pretrained import Pretrained, fetch
from kit.local.pretrained.download import Patience
from tests.kit.local.pretrained.checkpoint_server import serving

ROOT = Path(__file__).parents[4]
DATA = random.Random(3).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
FILE = f"net_1x_coco-{DIGEST[:8]}.pth"
QUICK = Patience(attempts=3, pause=0.0, timeout=5.0)


def entry(url, **changes):
    settings = {"name": "net_1x_coco", "kind": "detector", "networks": ("detectors-r50",), "licence": "none"}
    return Pretrained(url=url, **{**settings, **changes})


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(FILE, DATA) as running:
        yield running


def asked(server):
    return [(request["Range"], request["If-Range"]) for request in server.requests]


def left_over(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != FILE)


def test_a_file_is_downloaded_once_and_checked(server, tmp_path, capsys):
    path = fetch(entry(server.url), tmp_path / "new" / "folder", patience=QUICK)
    assert path == tmp_path / "new" / "folder" / FILE
    assert path.read_bytes() == DATA
    assert not left_over(path.parent)
    assert fetch(entry(server.url), path.parent, patience=QUICK) == path
    assert "is there already" in capsys.readouterr().err.replace("\n", "")
    assert len(server.requests) == 1


def test_a_cut_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.faults.cut_after = [100_000, 50_000]
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA
    assert asked(server) == [(None, None), ("bytes=100000-", '"v1"'), ("bytes=150000-", '"v1"')]


def test_a_download_given_up_goes_on_in_the_next_call(server, tmp_path):
    server.faults.cut_after = [120_000, 0, 0, 0]
    with pytest.raises(
        KitError, match="breaks off: the connection ended after 120000 of 300000 bytes"
    ) as error:
        fetch(entry(server.url), tmp_path, patience=QUICK)
    assert "it goes on at byte 120000" in str(error.value)
    assert left_over(tmp_path) == [f"{FILE}.part", f"{FILE}.part.json"]
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA
    assert asked(server)[-1] == ("bytes=120000-", '"v1"')
    assert not left_over(tmp_path)


def test_killed_between_the_last_byte_and_its_name_it_only_checks(server, tmp_path):
    server.faults.cut_after = [299_999, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    with (tmp_path / f"{FILE}.part").open("ab") as part:
        part.write(DATA[-1:])
    before = len(server.requests)
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA
    assert len(server.requests) == before


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.faults.cut_after, server.faults.ranges = [200_000], False
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA
    assert len(server.requests) == 2


def test_a_file_that_changed_meanwhile_is_not_pieced_together(server, tmp_path):
    server.faults.cut_after = [200_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    (tmp_path / f"{FILE}.part").write_bytes(b"x" * 200_000)  # of the older file, as its tag says
    server.tag = '"v2"'
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA


@pytest.mark.parametrize("size", [400_000, 250_000])
def test_without_tags_the_size_tells_another_file(server, tmp_path, size):
    server.faults.validators = False
    server.data, server.faults.cut_after = b"y" * size, [240_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    server.data = DATA
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    server.faults.validators = False
    server.data, server.faults.cut_after = b"y" * 400_000, [350_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    server.data = DATA
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA


def test_a_server_that_tells_no_size_is_believed_when_it_ends(server, tmp_path):
    server.faults.says_length = False
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA


def test_a_wrong_length_is_noticed_by_the_hash(server, tmp_path):
    server.faults.lies = 1000
    with pytest.raises(KitError, match="has sha256"):
        fetch(entry(server.url), tmp_path, patience=QUICK)


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.faults.refuse = [500, 503]
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA
    server.faults.refuse = [503] * 3
    with pytest.raises(KitError, match="breaks off: the server answers 503 Service Unavailable"):
        fetch(entry(server.url), tmp_path / "again", patience=QUICK)


def test_a_wrong_file_is_put_aside_and_both_hashes_named(server, tmp_path):
    server.data = b"something else"
    found = hashlib.sha256(server.data).hexdigest()
    with pytest.raises(KitError, match=f"has sha256 {found}, but its name promises {DIGEST[:8]}"):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    assert left_over(tmp_path) == [f"{FILE}.bad"]
    assert not (tmp_path / FILE).exists()
    server.data = DATA
    assert fetch(entry(server.url), tmp_path, patience=QUICK).read_bytes() == DATA


def test_a_wrong_file_that_lies_there_is_put_aside_too(server, tmp_path):
    (tmp_path / FILE).write_bytes(b"copied by hand, badly")
    with pytest.raises(KitError, match="its name promises"):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    assert left_over(tmp_path) == [f"{FILE}.bad"]
    assert not server.requests


def test_redirections_keep_the_range(server, tmp_path):
    server.faults.redirects, server.faults.cut_after = 1, [90_000]
    path = fetch(entry(server.url), tmp_path, patience=QUICK)
    assert path.read_bytes() == DATA
    assert [request["path"] for request in server.requests] == [
        f"/{FILE}",
        f"/{FILE}?signature=0",
        f"/{FILE}",
    ]
    server.faults.redirects, server.faults.cut_after = 0, [90_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path / "again", patience=QUICK)
    server.faults.redirects = 1
    assert fetch(entry(server.url), tmp_path / "again", patience=QUICK).read_bytes() == DATA
    assert asked(server)[-1] == ("bytes=90000-", '"v1"')


def test_a_part_goes_on_from_a_link_with_a_new_signature(server, tmp_path):
    server.faults.cut_after = [90_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, url=f"{server.url}?sig=monday", patience=QUICK)
    fetch(entry("http://127.0.0.1:9/" + FILE), tmp_path, url=f"{server.url}?sig=tuesday", patience=QUICK)
    assert asked(server)[-1] == ("bytes=90000-", '"v1"')


@pytest.mark.parametrize(
    ("code", "signed", "advice"),
    [
        (403, True, "its host asks for a signature: copy the link"),
        (404, True, "its host asks for a signature: copy the link"),
        (404, False, "the file has moved: find it and give the address with --url"),
        (403, False, "try a mirror with --url"),
    ],
)
def test_a_refusal_says_what_to_do(server, tmp_path, code, signed, advice):
    server.faults.always = code
    with pytest.raises(KitError, match=f"the server answers {code}") as error:
        fetch(entry(server.url, signed=signed, note="copy the link"), tmp_path, patience=QUICK)
    assert advice in str(error.value)
    assert f"download it in a browser to {tmp_path / FILE}" in str(error.value)
    assert server.url in str(error.value)


def test_a_web_page_is_not_taken_for_the_file(server, tmp_path):
    server.faults.kind = "text/html; charset=utf-8"
    with pytest.raises(KitError, match="sent a web page instead of the file"):
        fetch(entry(server.url), tmp_path, patience=QUICK)


def test_nobody_there_and_no_web_address_are_told(tmp_path):
    with pytest.raises(KitError, match="breaks off"):
        fetch(entry(f"http://127.0.0.1:9/{FILE}"), tmp_path, patience=QUICK)
    with pytest.raises(KitError, match="is not an http address"):
        fetch(entry(f"file:///etc/{FILE}"), tmp_path)
    with pytest.raises(KitError, match="timm has no file to fetch: timm fetches"):
        fetch(entry("", name="timm", note="timm fetches it"), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KitError, match=f"cannot write {FILE}"):
        fetch(entry(server.url), tmp_path / "file", patience=QUICK)


def test_a_killed_download_goes_on_in_the_next_process(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    name, out = "swin_base_patch4_window7_224_22k", str(tmp_path)
    with serving(f"{name}.pth", DATA) as server:
        command = [sys.executable, "-m", "kit.models", "fetch", name, "--out", out, "--url", server.url]
        server.faults.stall_after = 150_000
        first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        part = tmp_path / f"{name}.pth.part"
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size == 150_000) and time.monotonic() < deadline:
            time.sleep(0.02)
        first.kill()
        first.wait()
        server.faults.stall_after = 0
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(tmp_path / f"{name}.pth")
        assert (tmp_path / f"{name}.pth").read_bytes() == DATA
        assert asked(server) == [(None, None), ("bytes=150000-", '"v1"')]
