"""The fixtures of the loopback Kaggle, a dataset folder, and an upload with short pauses."""

import random

import pytest

from bundle import dataset, dataset_metadata
from bundle.dataset import Content, entry_of
from bundle.upload.verb import Options, Uploading, upload
from tests.kaggle_server.fixtures import certificates, kaggle, wire

__all__ = ["certificates", "kaggle", "wire"]


def make_dataset(
    folder, *, seed=0, equal=(), slug="kit-kidney-weights", owner="alice", files=3, role="weights"
):
    """Write a dataset as the build does: some files, files of equal content, and an archive."""
    draw = random.Random(seed)
    contents = [
        Content(entry=entry_of(data, name, role=role), source=data)
        for name, data in [
            *((f"member{number}.safetensors", draw.randbytes(50_000)) for number in range(files)),
            *((name, bytes(50_000)) for name in equal),
            *((f"wheels-cp313.zip/tool-{number}+cu1.whl", draw.randbytes(9_000)) for number in range(2)),
        ]
    ]
    metadata = dataset_metadata.describe(
        slug,
        owner=owner,
        title=slug.replace("-", " "),
        subtitle="Trained networks for a test",
        licence="other",
        description="A test.",
    )
    dataset.write(folder / slug, contents, metadata)
    return folder / slug


@pytest.fixture
def bundle(tmp_path):
    make_dataset(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def send(tmp_path, bundle):
    """Upload the bundle; the pauses are short, the limits that must not be reached are minutes."""

    def run(**options):
        waiting = Uploading(patience=options.pop("patience", 1), limit=300)
        defaults = {"bundle": bundle, "work": tmp_path / "work", "jobs": 1, "waiting": waiting}
        return upload(Options(**defaults | options))

    return run
