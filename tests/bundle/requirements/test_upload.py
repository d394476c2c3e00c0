"""A bundle of wheels goes to Kaggle as any other one does: to the loopback server, and read back."""

import pytest

from bundle.requirements.verb import Options, build
from bundle.upload.verb import Options as UploadOptions
from bundle.upload.verb import Uploading, upload
from kit import manifest as manifests
from tests.kaggle_server.fixtures import certificates, kaggle, wire

__all__ = ["certificates", "kaggle", "wire"]


@pytest.mark.parametrize("zips", ["unpacked", "packed"])
def test_a_bundle_of_wheels_is_uploaded_and_read_back(kaggle, index, requirements, tmp_path, zips):
    index.add("tool", requires=["helper"])
    index.add("helper", "1.5+local.1")
    places = {"requirements": requirements("tool"), "out": tmp_path / "wheels", "cache": tmp_path / "cache"}
    made = build(Options(**places, targets=("kaggle-2026-10",), name="my-wheels"))
    (tmp_path / "wheels" / "install.py").write_text("# it lies beside the dataset and is no part of it\n")
    kaggle(zips=zips)
    waiting = Uploading(patience=1, limit=300)
    options = UploadOptions(bundle=tmp_path / "wheels", work=tmp_path / "work", jobs=1, waiting=waiting)
    [done] = upload(options)
    assert (done.id, done.skipped) == ("alice/my-wheels", False)
    assert done.fingerprint == manifests.load(made.folder / manifests.NAME).sha256()
    [again] = upload(options)
    assert again.skipped
