import pytest

from kit import manifest
from kit.artefacts import sha256_file
from kit.errors import KitError
from tests.kit.entries import entries


def test_file_round_trips_and_is_its_own_identity(tmp_path):
    written = manifest.Manifest(dataset="d", files=entries(), targets=["cp313"])
    path = manifest.save(tmp_path, written)
    read = manifest.load(path)
    assert {entry.file: entry for entry in read.files} == {entry.file: entry for entry in entries()}
    assert read.sha256() == written.sha256() == sha256_file(path)


def test_order_of_files_does_not_matter():
    one = manifest.Manifest(dataset="d", files=entries())
    two = manifest.Manifest(dataset="d", files=entries()[::-1])
    assert one.sha256() == two.sha256()


@pytest.mark.parametrize(
    "value", [{"schema": 0}, {"schema": 1}, {"schema": 1, "files": [{"x": 1}], "dataset": "d", "targets": []}]
)
def test_foreign_json_is_refused(value):
    with pytest.raises(KitError) as caught:
        manifest.from_dict(value)
    assert "run `bundle` again" in caught.value.fix


def test_an_entry_knows_its_name_and_the_archive_that_carries_it():
    first = entries()[0]
    packed = manifest.Entry(file="wheels-cp313.zip/a/x.whl", size=1, sha256=first.sha256, role="wheel")
    assert (packed.name, packed.archive) == ("x.whl", "wheels-cp313.zip")
    open_file = manifest.Entry(file="wheels/x.whl", size=1, sha256=first.sha256, role="wheel")
    assert (open_file.name, open_file.archive) == ("x.whl", None)
