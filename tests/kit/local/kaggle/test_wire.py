"""Calls and files through the official client, against the loopback server."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.kaggle import exchange
from kit.local.kaggle.outcome import CallError, CutOff, Refused, Unclear, Unreachable
from kit.local.kaggle.trouble import Trouble
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.world import Dataset, Version

NAMES = {"ownerSlug": "alice", "datasetSlug": "kit-wheels"}
STATUS, CREATE, GET = "datasets.GetDatasetStatus", "datasets.CreateDataset", "datasets.DownloadDataset"
GET_ONE = "datasets.GetDataset"
DATA = bytes(range(256)) * 4000


@pytest.fixture
def start(loopback):
    """Gives the module's server a world with these faults."""
    return loopback.start


@pytest.fixture
def shared(loopback):
    """The module's wire, with other limits: its process has started before."""
    return loopback.patient


def published(server, **files):
    item = Dataset("alice", "kit-wheels", "kit wheels", private=True, licence="other")
    item.versions.append(Version(1, "first", dict(files)))
    server.world.datasets["alice/kit-wheels"] = item


def staged(tmp_path, data=DATA, name="weights.bin"):
    path = tmp_path / "files" / hashlib.sha256(data).hexdigest()[:20] / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_a_call_is_answered_as_the_server_wrote_it(start, shared):
    server = start()
    published(server, a=b"1")
    one = shared()
    assert one.rpc(STATUS, NAMES).value == {"status": "READY"}
    assert one.rpc("datasets.GetDataset", NAMES).value["versions"][0]["versionNotes"] == "first"
    assert one.credentials()["name"] == "alice"


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", STATUS, times=2, argument=503),
        Fault("status", STATUS, argument=(429, 0)),
        Fault("drop_before", STATUS),
        Fault("drop_after", STATUS),
        Fault("html_200", STATUS),
    ],
    ids=lambda fault: fault.kind,
)
def test_a_call_that_reads_is_repeated_and_a_person_hears_of_it(kaggle, wire, fault, monkeypatch, capsys):
    monkeypatch.setattr(exchange, "TROUBLE", Trouble())
    server = kaggle(fault)
    published(server, a=b"1")
    said = []
    assert wire(said.append).rpc(STATUS, NAMES).value == {"status": "READY"}
    assert server.world.faults.count(STATUS) == fault.times + 1
    assert any("again in" in line for line in said)
    assert f"{STATUS} is tried again in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("status", CREATE, argument=503), Unclear),
        (Fault("drop_before", CREATE), Unclear),
        (Fault("drop_after", CREATE), Unclear),
        (Fault("html_200", CREATE), Unclear),
        (Fault("empty_200", CREATE), Unclear),
        (Fault("status", CREATE, argument=(429, 7, "slow down")), Refused),
        (Fault("status", CREATE, argument=(400, None, "daily allowance used")), Refused),
        (Fault("error_200", CREATE), Refused),
        (Fault("error_200", CREATE, argument={"status": "Error", "error": "over the quota"}), Refused),
    ],
    ids=lambda value: value.kind + str(value.argument) if isinstance(value, Fault) else "",
)
def test_a_call_that_writes_is_sent_once_and_says_what_became_of_it(start, shared, fault, expected):
    server = start(fault)
    request = {
        "ownerSlug": "alice",
        "slug": "kit-wheels",
        "title": "kit wheels",
        "licenseName": "other",
        "isPrivate": True,
        "files": [{"token": "none"}],
    }
    with pytest.raises(expected) as caught:
        shared().rpc(CREATE, request, writes=True)
    assert server.world.faults.count(CREATE) == 1
    if fault.argument == (429, 7, "slow down"):
        assert caught.value.retry_after == 7
    if isinstance(fault.argument, tuple):
        assert fault.argument[2] in str(caught.value)
    if isinstance(fault.argument, dict):
        assert "over the quota" in str(caught.value)


def test_an_answer_comes_in_one_form_and_one_of_another_type_is_none(start, shared):
    server = start(other_form=True, ready_after=0)
    published(server, a=b"1")
    server.world.datasets["alice/kit-wheels"].versions[0].polls = 2
    one = shared(outage=0.5)
    assert one.rpc(STATUS, NAMES).value["status"] == "NOT_YET_PERSISTED"
    [listed] = one.rpc("datasets.ListDatasetFiles", NAMES).value["datasetFiles"]
    assert listed["totalBytes"] == 1
    server.world.faults.faults.append(
        Fault("error_200", STATUS, nth=2, times=999, argument={"status": "READY"})
    )
    server.world.faults.faults.append(Fault("error_200", GET_ONE, times=999, argument={"versions": {"a": 1}}))
    assert one.rpc(STATUS, NAMES).value == {"status": "READY"}
    with pytest.raises(Unclear, match="the answer's versions is no list"):
        one.rpc(GET_ONE, NAMES)


def test_a_field_that_the_sdk_would_leave_out_is_refused_here(start, shared):
    server = start()
    with pytest.raises(KitError, match="has no field datasetSlugg"):
        shared().rpc(STATUS, {"datasetSlugg": "x"})
    assert server.world.faults.count(STATUS) == 0


def test_a_server_that_is_not_there_is_unreachable(kaggle, wire, monkeypatch):
    kaggle()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(Unreachable, match="cannot be reached"):
        wire(outage=0.2).rpc(STATUS, NAMES)


def test_what_the_client_prints_is_no_answer(kaggle, wire, tmp_path, monkeypatch):
    published(kaggle(), a=b"1")
    path = tmp_path / "home" / ".kaggle" / "kaggle.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"username": "alice", "key": "k"}))
    path.chmod(0o644)  # the client warns on its standard output, at every start
    said = []
    assert wire(said.append).rpc(STATUS, NAMES).value == {"status": "READY"}
    assert any("readable by other users" in line for line in said)


def test_a_file_arrives_whole_and_its_hash_can_be_asked_for_alone(start, shared, tmp_path):
    published(start(), **{"a.bin": DATA})
    one = shared()
    request = {**NAMES, "fileName": "a.bin", "raw": True}
    got = one.download(GET, request, tmp_path / "a.bin")
    told = one.head(GET, request)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert got.sha256 == hashlib.sha256(DATA).hexdigest()
    assert (told.size, told.md5) == (len(DATA), got.md5)
    with pytest.raises(Refused) as caught:
        one.head(GET, {**request, "fileName": "b.bin"})
    assert caught.value.status == 404


@pytest.mark.parametrize("kind", ["no_store", "md5_hex"])
def test_a_file_that_comes_in_another_way_is_read_for_its_hash(start, shared, tmp_path, kind):
    published(start(Fault(kind, "")), **{"manifest.json": b'{"files": [1]}', "list.json": b"[1]"})
    one = shared(outage=0.5)
    for name, data in (("manifest.json", b'{"files": [1]}'), ("list.json", b"[1]")):
        request = {**NAMES, "fileName": name, "raw": True}
        if kind == "md5_hex" or name == "manifest.json":
            assert one.head(GET, request).md5 is None
        got = one.download(GET, request, tmp_path / name)
        assert got.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kind", ["truncate", "flip_byte"])
def test_a_short_or_damaged_body_is_an_error_and_leaves_no_file(start, shared, tmp_path, kind):
    published(start(Fault(kind, "files.GET", times=999)), **{"a.bin": DATA})
    (tmp_path / "got").mkdir()
    with pytest.raises(Unclear):
        shared(outage=0.5).download(GET, {**NAMES, "fileName": "a.bin"}, tmp_path / "got" / "a.bin")
    assert not list((tmp_path / "got").iterdir())


@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("drop_midfile", "blobs.PUT", argument=200_000),
        Fault("half", "blobs.PUT", argument=200_000),
        Fault("status", "blobs.PUT", argument=503),
        Fault("status", "blobs.PUT", argument=400),
        Fault("drop_after", "blobs.PUT"),
        Fault("status", "blobs.StartBlobUpload", argument=503),
        Fault("empty_200", "blobs.StartBlobUpload"),
        Fault("blob_expired", "blobs.PUT", nth=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.at}-{fault.argument}" if fault else "clean",
)
def test_an_upload_ends_with_all_bytes(start, shared, tmp_path, fault):
    breaks = [Fault("half", "blobs.PUT", argument=100)] if fault and fault.nth == 2 else []
    server = start(*breaks, *([fault] if fault else []))
    token = shared().upload(staged(tmp_path), "DATASET")
    blob = server.world.blobs[token]
    assert bytes(blob.data) == DATA
    assert (blob.name, blob.complete) == ("weights.bin", True)


def test_a_refusal_of_a_file_with_status_200_is_told(start, shared, tmp_path):
    start(Fault("error_200", "blobs.StartBlobUpload"))
    with pytest.raises(Refused, match="an error in a 200"):
        shared().upload(staged(tmp_path), "DATASET")


def test_503_without_a_pause_is_not_hammered(kaggle, wire, tmp_path):
    """The client's own loop sends the whole body ten times within two seconds."""
    server = kaggle(Fault("status", "blobs.PUT", times=4, argument=503))
    said = []
    wire(said.append).upload(staged(tmp_path), "DATASET")
    assert server.world.faults.count("blobs.PUT") <= 8
    assert sum("again in" in line for line in said) == 4


def test_a_position_beyond_the_file_ends_in_a_fresh_start(start, shared, tmp_path):
    """The client then hangs for ever (trap 8); here it is killed, twice, and the file starts from zero."""
    server = start(
        Fault("half", "blobs.PUT", argument=1000), Fault("range_beyond", "blobs.PUT", nth=2, times=9)
    )
    token = shared(stall=2).upload(staged(tmp_path), "DATASET")
    assert bytes(server.world.blobs[token].data) == DATA
    assert server.world.faults.count("blobs.StartBlobUpload") == 2


def test_a_call_that_hangs_is_given_up_and_repeated(start, shared):
    server = start(Fault("hang", STATUS))
    published(server, a=b"1")
    assert shared(rpc=5).rpc(STATUS, NAMES).value == {"status": "READY"}
    assert server.world.faults.count(STATUS) == 2


def test_a_start_of_the_client_that_hangs_is_given_up_and_repeated(kaggle, wire):
    server = kaggle(Fault("hang", "security.IntrospectToken"), way="token")
    published(server, a=b"1")
    assert wire(rpc=5).rpc(STATUS, NAMES).value == {"status": "READY"}
    assert server.world.faults.count("security.IntrospectToken") >= 2


def test_a_call_that_the_limit_for_everything_ended_is_told_from_another_without_an_answer(start, shared):
    published(start(), a=b"1")
    with pytest.raises(CutOff, match="the limit of 0 s for everything is reached"):
        shared(limit=0).rpc(STATUS, NAMES)
    with pytest.raises(Unclear, match="the limit of 0 s for everything is reached") as caught:
        shared(limit=0).rpc(CREATE, {"ownerSlug": "alice", "slug": "kit-wheels"}, writes=True)
    assert type(caught.value) is Unclear, "it may have worked"
    start(Fault("status", STATUS, times=999, argument=503))
    with pytest.raises(CallError, match="503") as caught:
        shared(outage=0.2).rpc(STATUS, NAMES)
    assert not isinstance(caught.value, CutOff)


def test_a_start_that_hangs_until_the_limit_for_everything_is_told_as_such(kaggle, wire):
    kaggle(Fault("hang", "security.IntrospectToken", times=999), way="token")
    with pytest.raises(CutOff, match="Kaggle cannot be reached: no answer in 1 s") as caught:
        wire(rpc=1, limit=0.5).rpc(STATUS, NAMES)
    assert "check the network" in caught.value.fix


def test_a_start_on_a_busy_machine_takes_nothing_of_the_time_to_answer(kaggle, wire, tmp_path, monkeypatch):
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 6\nexec "{sys.executable}" "$@"\n')
    slow.chmod(0o755)
    server = kaggle(way="token")
    published(server, a=b"1")
    monkeypatch.setattr(sys, "executable", str(slow))
    assert wire(rpc=5).rpc(STATUS, NAMES).value == {"status": "READY"}


def test_a_start_that_takes_for_ever_says_that_the_machine_is_busy(kaggle, wire, monkeypatch):
    kaggle(way="token")
    monkeypatch.setattr(exchange, "_START_S", 0.001)
    with pytest.raises(KitError, match="did not start and import the Kaggle client within"):
        wire().rpc(STATUS, NAMES)


@pytest.mark.parametrize(
    "fault", [Fault("hang", "blobs.PUT"), Fault("stand_still", "blobs.PUT", argument=200_000)], ids=str
)
def test_an_upload_that_stands_still_is_given_up_and_goes_on(start, shared, tmp_path, fault):
    server = start(fault)
    token = shared(stall=2).upload(staged(tmp_path), "DATASET")
    assert bytes(server.world.blobs[token].data) == DATA
    assert server.world.faults.count("blobs.PUT") >= 2


def test_a_download_that_stands_still_is_given_up_and_begun_again(start, shared, tmp_path):
    published(start(Fault("stand_still", "files.GET")), **{"a.bin": DATA})
    shared(stall=2).download(GET, {**NAMES, "fileName": "a.bin", "raw": True}, tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_credentials_that_expire_in_mid_run_are_told(start, shared):
    published(start(Fault("token_expired", STATUS, nth=2)), a=b"1")
    one = shared()
    assert one.rpc(STATUS, NAMES).value == {"status": "READY"}
    with pytest.raises(Refused, match="401") as caught:
        one.rpc(STATUS, NAMES)
    assert "make a new token" in caught.value.fix


KILLED = """
import sys
from pathlib import Path
from kit.local.kaggle.wire import Wire
Wire(scratch=Path(sys.argv[1])).upload(Path(sys.argv[2]), "DATASET")
"""


def test_no_upload_goes_on_after_its_parent_was_killed(kaggle, tmp_path):
    server = kaggle(Fault("hang", "blobs.PUT"))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "scratch"), str(staged(tmp_path))]
    parent = subprocess.Popen(command, cwd=Path(__file__).parents[4])
    try:
        assert server.world.faults.wait_for("blobs.PUT")
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(children) == 1
        waiter = os.pidfd_open(int(children[0]))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    import select

    assert select.select([waiter], [], [], 120)[0], "the child went on"
    os.close(waiter)
