"""Whole uploads against the loopback Kaggle: what is called verified is there, byte for byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit.errors import KitError
from kit.local.kaggle import state as states
from tests.bundle.upload.conftest import make_dataset
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.world import Dataset, Version, mounted
from tests.lock_holder import held_elsewhere

ROOT = Path(__file__).parents[3]
ID = "alice/kit-kidney-weights"
GET_DATASET = "datasets.GetDataset"
CREATE, VERSION, STATUS = (
    "datasets.CreateDataset",
    "datasets.CreateDatasetVersion",
    "datasets.GetDatasetStatus",
)


def on_disk(folder, zips="unpacked"):
    files = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "dataset-metadata.json"
    }
    return mounted(files, zips)


def assert_published(server, folder, *, versions=1, private=True):
    files, status, is_private = server.world.live()[ID]
    assert files == on_disk(folder, server.world.zips)
    assert (status, is_private) == ("READY", private)
    assert len(server.world.datasets[ID].versions) == versions


def state(bundle):
    return states.load(bundle.parent / "kaggle" / "alice.kit-kidney-weights.json")


@pytest.mark.parametrize("zips", ["unpacked", "packed", "doubled"])
def test_a_bundle_is_uploaded_read_back_and_then_left_alone(kaggle, send, bundle, zips):
    server = kaggle(zips=zips)
    [done] = send()
    assert (done.id, done.version, done.skipped) == (ID, 1, False)
    assert_published(server, bundle / "kit-kidney-weights")
    found = state(bundle)
    assert (found.stage, found.version, found.fingerprint) == ("verified", 1, done.fingerprint)
    assert sum(found.checked_by.values()) >= 5
    sent = server.world.faults.count("blobs.PUT")
    [again] = send()
    assert again.skipped
    assert server.world.faults.count("blobs.PUT") == sent
    assert state(bundle).checked_by == found.checked_by, "what was there was checked as well"
    # A rebuilt bundle becomes the second version.
    make_dataset(bundle, seed=1)
    [new] = send(verify="full")
    assert (new.version, new.skipped) == (2, False)
    assert state(bundle).checked_by["md5"] == 0
    assert_published(server, bundle / "kit-kidney-weights", versions=2)


def test_two_files_of_one_content_are_both_sent_and_once(kaggle, send, bundle):
    folder = make_dataset(bundle, equal=("first.safetensors", "second.safetensors"))
    server = kaggle(Fault("status", CREATE, argument=(400, None, "not today")))
    with pytest.raises(KitError, match="not today"):
        send()
    sent = server.world.faults.count("blobs.PUT")
    assert send()[0].version == 1
    assert server.world.faults.count("blobs.PUT") == sent
    assert_published(server, folder)


def test_a_rebuilt_file_of_equal_size_and_date_is_sent_anew(kaggle, send, bundle):
    """The client takes such a file for the former one, and publishes the old bytes (trap 1)."""
    server = kaggle(Fault("status", CREATE, argument=(400, None, "not today")))
    with pytest.raises(KitError, match="not today"):
        send()
    make_dataset(bundle, seed=1)
    for path in (bundle / "kit-kidney-weights").iterdir():
        os.utime(path, (1_600_000_000, 1_600_000_000))
    send()
    assert_published(server, bundle / "kit-kidney-weights")


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("drop_after", CREATE)],
        [Fault("drop_before", CREATE)],
        [Fault("status", CREATE, argument=503)],
        [Fault("empty_200", CREATE)],
        [Fault("status", CREATE, argument=(429, 0))],
        [Fault("status", STATUS, times=3, argument=503)],
        [Fault("drop_midfile", "blobs.PUT", argument=300), Fault("status", "blobs.PUT", nth=3, argument=503)],
        [Fault("md5_absent", "files.GET")],
    ],
    ids=lambda faults: faults[0].kind + str(faults[0].argument),
)
def test_a_new_dataset_survives_faults_and_is_made_once(kaggle, send, bundle, faults):
    server = kaggle(*faults)
    assert send()[0].version == 1
    assert_published(server, bundle / "kit-kidney-weights")


def test_a_lost_answer_and_409_for_the_repeated_call_are_one_new_dataset(kaggle, send, bundle):
    # Kaggle hides a new dataset for longer than answers may be lost, so the call is repeated.
    taken = Fault("status", CREATE, nth=2, argument=(409, None, "conflict"))
    server = kaggle(Fault("drop_after", CREATE), taken, hidden_after_create=40)
    assert send(patience=1)[0].version == 1
    assert server.world.faults.count(CREATE) == 2
    assert_published(server, bundle / "kit-kidney-weights")


def test_a_refusal_in_a_form_of_its_own_is_no_new_dataset(kaggle, send, bundle):
    no = {"success": False, "message": "the moon is full"}
    server = kaggle(Fault("error_200", CREATE, times=3, argument=no))
    with pytest.raises(KitError, match=r"nobody knows whether the version was made.*the moon is full"):
        send(patience=0.3)
    assert server.world.datasets == {}
    assert send()[0].version == 1
    assert_published(server, bundle / "kit-kidney-weights")


def test_a_server_that_writes_the_same_in_other_forms_gets_the_same(kaggle, send, bundle):
    server = kaggle(Fault("no_store", ""), other_form=True)
    assert send()[0].version == 1
    assert send()[0].skipped
    make_dataset(bundle, seed=1)
    assert send()[0].version == 2
    assert_published(server, bundle / "kit-kidney-weights", versions=2)


def test_a_version_whose_status_is_a_word_of_its_own_is_ready_with_its_dataset(kaggle, send, bundle):
    server = kaggle(version_word="Published")
    assert send()[0].version == 1
    assert_published(server, bundle / "kit-kidney-weights")


def test_credentials_that_expire_before_the_call_are_no_lost_files(kaggle, send, bundle):
    expired = Fault("status", CREATE, argument=(401, None, "the access token has expired"))
    server = kaggle(expired)
    with pytest.raises(KitError, match="token has expired"):
        send()
    sent = server.world.faults.count("blobs.PUT")
    assert send()[0].version == 1
    assert server.world.faults.count("blobs.PUT") == sent


@pytest.mark.parametrize(
    "fault", [Fault("drop_after", VERSION), Fault("drop_before", VERSION), Fault("stale", "", argument=9)]
)
@pytest.mark.parametrize("listed", [True, False])
def test_a_lost_answer_or_a_stale_one_gives_one_version(kaggle, send, bundle, fault, listed):
    server = kaggle(fault, list_versions=listed)
    item = Dataset("alice", "kit-kidney-weights", "kit kidney weights", private=True, licence="other")
    item.versions.append(Version(1, "by hand", {"old.bin": b"x"}))
    server.world.datasets[ID] = item
    assert send()[0].version == 2
    assert_published(server, bundle / "kit-kidney-weights", versions=2)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("truncate", "blobs.PUT"), "has .* bytes, not|holds another"),
        (Fault("flip_byte", "blobs.PUT"), "holds another"),
        (Fault("drop_file", ""), "is missing"),
        (Fault("merge_files", ""), "is missing"),
        (Fault("truncate_file", ""), "has .* bytes, not"),
        (Fault("failed_processing", ""), "could not process"),
        (Fault("public_flip", ""), "is public on Kaggle after the upload"),
        (
            Fault("error_200", CREATE, argument={"status": "Error", "error": "over the quota"}),
            "over the quota",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_nothing_half_right_is_called_verified_and_the_next_run_mends_it(
    kaggle, send, bundle, fault, message
):
    server = kaggle(fault)
    with pytest.raises(KitError, match=message) as caught:
        send()
    assert caught.value.fix
    assert state(bundle).stage != "verified"
    server.world.faults.faults.clear()
    if fault.kind == "public_flip":
        server.world.datasets[ID].private = True
    send()
    assert server.world.live()[ID][:2] == (on_disk(bundle / "kit-kidney-weights"), "READY")


def test_an_empty_answer_hides_no_flip_of_the_privacy(kaggle, send, bundle):
    server = kaggle(Fault("public_flip", ""), Fault("empty_200", GET_DATASET, nth=2, times=4))
    with pytest.raises(KitError, match="is public on Kaggle after the upload"):
        send()
    assert state(bundle).stage == "failed"
    assert server.world.faults.count(GET_DATASET) > 5


def test_a_dataset_whose_privacy_is_not_told_is_not_verified_and_gets_no_second_version(kaggle, send, bundle):
    silent = {"id": 7, "title": "kit kidney weights"}
    server = kaggle(Fault("error_200", GET_DATASET, nth=1, times=9999, argument=silent))
    for asked in ("after the upload", "before the next"):
        with pytest.raises(KitError, match="does not say whether alice/kit-kidney-weights is private"):
            send()
        assert len(server.world.datasets[ID].versions) == 1, asked
    assert state(bundle).stage != "verified"
    server.world.faults.faults.clear()
    send()
    assert len(server.world.datasets[ID].versions) == 1
    assert state(bundle).stage == "verified"


@pytest.mark.parametrize("status", [401, 500, 503])
def test_no_byte_is_sent_when_nobody_knows_what_is_there(kaggle, send, status):
    server = kaggle(Fault("status", STATUS, times=9999, argument=status))
    with pytest.raises(KitError):
        send(patience=0.05)
    assert server.world.faults.count("blobs.StartBlobUpload") == 0


def test_a_dry_run_sends_nothing(kaggle, send, bundle, capfd):
    server = kaggle()
    assert send(dry_run=True) == []
    assert "would become a new dataset" in capfd.readouterr().err
    assert not {"blobs.StartBlobUpload", CREATE} & set(server.world.faults.seen)


def test_45_files_take_three_pages_when_the_server_has_small_ones(kaggle, send, bundle, monkeypatch):
    make_dataset(bundle, files=40)
    monkeypatch.setattr("bundle.upload.destination.PAGE_SIZE", 20)
    server = kaggle()
    send(jobs=3)
    assert server.world.faults.count("datasets.ListDatasetFiles") >= 3
    assert_published(server, bundle / "kit-kidney-weights")


@pytest.mark.parametrize("event", ["blobs.PUT", CREATE, "datasets.ListDatasetFiles"])
def test_a_killed_upload_goes_on_where_it_was(kaggle, send, bundle, tmp_path, event):
    server = kaggle(Fault("hang", event, nth=2 if event == "blobs.PUT" else 1))
    command = [sys.executable, "-m", "bundle", "upload", "--bundle", str(bundle), "--patience", "1"]
    process = subprocess.Popen([*command, "--work", str(tmp_path / "work"), "--jobs", "1"], cwd=ROOT)
    try:
        assert server.world.faults.wait_for(event, 2 if event == "blobs.PUT" else 1)
    finally:
        process.kill()
        process.wait()
    server.world.faults.faults.clear()
    send(jobs=1)
    assert_published(server, bundle / "kit-kidney-weights")
    if event != "blobs.PUT":
        assert server.world.faults.count("blobs.StartBlobUpload") == 5, "a file was sent twice"


def test_the_command_prints_one_line_for_each_dataset_and_no_secret(kaggle, bundle, tmp_path):
    server = kaggle(way="token")
    command = [
        sys.executable,
        "-m",
        "bundle",
        "upload",
        "--bundle",
        str(bundle),
        "--patience",
        "1",
        "--verbose",
    ]
    done = subprocess.run(
        [*command, "--work", str(tmp_path / "work")],
        cwd=ROOT,
        env={**os.environ, "VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert json.loads(line) == json.loads(line) | {"id": ID, "version": 1, "verified": True}
    kept = [path.read_text() for path in (bundle.parent / "kaggle").iterdir()]
    for secret in (server.world.token, "SIGNED", "blobtoken"):
        assert secret not in done.stdout + done.stderr + "".join(kept)


def test_two_runs_do_not_send_one_dataset_at_the_same_time(kaggle, send, bundle):
    kaggle()
    with (
        held_elsewhere(states.lock_of(bundle.parent / "kaggle" / "alice.kit-kidney-weights.json")),
        pytest.raises(KitError, match="another process sends this dataset"),
    ):
        send()
