"""What is told before the first byte is sent."""

import re

import pytest

from bundle import dataset_metadata
from kit.errors import KitError
from tests.bundle.upload.conftest import make_dataset
from tests.kaggle_server.world import Dataset, Version

ID = "alice/kit-kidney-weights"


def refused(kaggle, send, message, *, world=None, **options):
    server = kaggle(**world or {})
    yield server
    with pytest.raises(KitError, match=message) as caught:
        send(**options)
    assert caught.value.fix
    assert server.world.faults.count("blobs.StartBlobUpload") == 0
    yield caught.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "notes.txt").write_text("x"), "a file that no manifest lists: notes.txt"),
        (lambda folder: (folder / "old").mkdir(), "a folder that no manifest lists: old"),
        (lambda folder: (folder / "member0.safetensors").unlink(), "member0.safetensors is missing"),
        (lambda folder: (folder / "member0.safetensors").write_bytes(b"x" * 50_000), "has changed since"),
        (lambda folder: (folder / "member0.safetensors").write_bytes(b"x"), "has 1 bytes"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "not a readable JSON"),
    ],
)
def test_a_folder_that_is_not_what_was_built_is_refused(kaggle, send, bundle, change, message):
    change(bundle / "kit-kidney-weights")
    check = refused(kaggle, send, re.escape(message))
    next(check)
    next(check)


def test_the_owner_is_the_account_when_the_bundle_names_none(kaggle, send, bundle):
    make_dataset(bundle, owner=dataset_metadata.OWNER_PLACEHOLDER)
    kaggle()
    assert send()[0].id == ID


def test_a_public_dataset_is_not_taken_for_a_private_one(kaggle, send):
    check = refused(kaggle, send, "is public on Kaggle, and a private one was asked for")
    item = Dataset("alice", "kit-kidney-weights", "kit kidney weights", private=False, licence="other")
    item.versions.append(Version(1, "", {"a": b"1"}))
    next(check).world.datasets[ID] = item
    next(check)


def test_all_findings_are_told_at_once(kaggle, send, bundle):
    (bundle / "kit-kidney-weights" / "one.txt").write_text("x")
    (bundle / "kit-kidney-weights" / "two.txt").write_text("x")
    check = refused(kaggle, send, r"(?s)2 things.*one\.txt.*two\.txt")
    next(check)
    next(check)
