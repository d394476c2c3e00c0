"""Downloads from a real server on this machine that misbehaves as real servers do."""

import base64
import hashlib
import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kit.errors import KitError
from kit.local.pretrained.download import Patience, fetch
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.matching import shapes
from tests.kit.local.pretrained.checkpoint_server import serving

ROOT = Path(__file__).parents[4]
DATA = random.Random(3).randbytes(300_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
FILE = f"net_1x_coco-{DIGEST[:8]}.pth"
QUICK = Patience(attempts=3, pause=0.0, timeout=600.0)


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


def test_nobody_there_and_no_web_address_are_told(tmp_path, capsys):
    with pytest.raises(KitError, match=r"^127\.0\.0\.1 cannot be reached: .*refused") as refused:
        fetch(entry(f"http://127.0.0.1:9/{FILE}"), tmp_path, patience=QUICK)
    assert "copy it into the folder" in str(refused.value)
    told = capsys.readouterr().err.replace("\n", " ")
    assert "127.0.0.1 cannot be reached" in told
    assert "again in" in told
    with pytest.raises(KitError, match=r"^nobody\.invalid cannot be reached"):
        fetch(entry(f"http://nobody.invalid/{FILE}"), tmp_path, patience=QUICK)
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
        while not (part.is_file() and part.stat().st_size == 150_000):
            assert first.poll() is None
            time.sleep(0.02)
        first.kill()
        first.wait()
        server.faults.stall_after = 0
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert asked(server) == [(None, None), ("bytes=150000-", '"v1"')]
    # The file has no published sha256, and these bytes are no Swin transformer.
    assert done.returncode == 2
    assert f"{name}.pth is not what {name} should be: the file is not a checkpoint" in done.stderr
    assert (tmp_path / f"{name}.pth.bad").read_bytes() == DATA
    assert not (tmp_path / f"{name}.pth").exists()


SECRET = "sig=abc%2Fdef&se=2030"


@pytest.mark.parametrize("fault", ["cut", "refused", "busy", "page", "wrong", "redirected"])
def test_a_signature_and_a_password_are_in_no_message_and_no_file(server, tmp_path, capfd, fault):
    if fault == "cut":
        server.faults.cut_after = [90_000, 0, 0, 0]
    elif fault == "refused":
        server.faults.always = 403
    elif fault == "busy":
        server.faults.refuse = [503] * 9
    elif fault == "page":
        server.faults.kind = "text/html"
    elif fault == "wrong":
        server.data = b"something else"
    else:
        server.faults.redirects = 99
    url = server.url.replace("http://", "http://me:s3cr%40et@") + f"?{SECRET}#top"
    with pytest.raises(KitError) as error:
        fetch(entry("http://127.0.0.1:9/" + FILE), tmp_path, url=url, patience=QUICK)
    out, err = capfd.readouterr()
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.iterdir() if path.suffix == ".json")
    for text in (str(error.value), out, err, kept):
        assert not [secret for secret in ("sig=", "abc%2F", "s3cr", "me:") if secret in text], text
    assert server.url in str(error.value)
    assert fault != "cut" or server.url in kept


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:secret@[bad/{FILE}?{SECRET}",
        f"https://host:port/{FILE}?{SECRET}",
        f"https://host/a b\n{FILE}?{SECRET}",
        f"ftp://me:secret@host/{FILE}?{SECRET}",
        "https://",
    ],
)
def test_an_address_that_cannot_be_is_refused_without_its_secrets(tmp_path, url):
    with pytest.raises(KitError, match="is not an http address") as error:
        fetch(entry(f"http://127.0.0.1:9/{FILE}"), tmp_path, url=url, patience=QUICK)
    assert "sig=" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_signature_that_an_older_version_kept_is_removed(server, tmp_path):
    server.faults.cut_after = [90_000, 0, 0, 0]
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    note = tmp_path / f"{FILE}.part.json"
    kept = json.loads(note.read_text())
    note.write_text(json.dumps({**kept, "url": f"{server.url}?{SECRET}"}))
    server.faults.always = 403
    with pytest.raises(KitError):
        fetch(entry(server.url), tmp_path, patience=QUICK)
    assert json.loads(note.read_text()) == kept
    server.faults.always = 0
    assert (
        fetch(entry(server.url), tmp_path, url=f"{server.url}?{SECRET}", patience=QUICK).read_bytes() == DATA
    )
    assert asked(server)[-1] == ("bytes=90000-", '"v1"')


def test_a_password_goes_to_the_server_in_its_header(server, tmp_path):
    url = server.url.replace("http://", "http://me:s3cr%40et@")
    assert fetch(entry(url), tmp_path, patience=QUICK).read_bytes() == DATA
    assert server.requests[0]["Authorization"] == "Basic " + base64.b64encode(b"me:s3cr@et").decode()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"oops!", "the file is not a checkpoint of a known format"),
        (b"<html>sign in</html>", "the file is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "a pointer of Git LFS"),
    ],
)
def test_a_file_without_a_published_hash_has_to_be_a_checkpoint(server, tmp_path, data, told):
    server.data = data
    unhashed = entry(server.url.replace(FILE, "net.pth"), networks=("segformer-b0",), name="net")
    with pytest.raises(KitError, match=r"net\.pth is not what net should be") as error:
        fetch(unhashed, tmp_path, patience=QUICK)
    assert told in str(error.value)
    assert left_over(tmp_path) == ["net.pth.bad"]


@pytest.mark.parametrize("data", [b"oops!", b"", b"<html>sign in</html>", b"\x1f\x8b\x08packed"])
def test_what_is_no_checkpoint_is_told_before_a_network_is_built(tmp_path, monkeypatch, data):
    (tmp_path / "net.pth").write_bytes(data)
    unhashed = entry("https://127.0.0.1/net.pth", networks=("segformer-b0",), name="net")

    def fail(*_, **__):
        pytest.fail("a process was started")

    monkeypatch.setattr("kit.local.pretrained.limited.subprocess.run", fail)
    with pytest.raises(KitError, match="is not what net should be"):
        fetch(unhashed, tmp_path, patience=QUICK)


def test_a_file_without_a_published_hash_has_to_fill_its_network(server, tmp_path):
    unhashed = entry(
        server.url.replace(FILE, "net.pth"), networks=("segformer-b0",), name="net", kind="segmentor"
    )
    state = shapes({"network": "segformer-b0"})
    full = {name: torch.zeros(value.shape, dtype=torch.float16) for name, value in state.items()}
    buffer = io.BytesIO()
    torch.save({"state_dict": dict(list(full.items())[:20])}, buffer)
    server.data = buffer.getvalue()
    with pytest.raises(KitError, match=r"net\.pth is not what net should be: the mit checkpoint fills 2"):
        fetch(unhashed, tmp_path, patience=QUICK)
    buffer = io.BytesIO()
    torch.save({"state_dict": full}, buffer)
    server.data = buffer.getvalue()
    assert fetch(unhashed, tmp_path, patience=QUICK).read_bytes() == server.data
