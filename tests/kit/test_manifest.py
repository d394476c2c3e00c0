from dataclasses import replace

import pytest

from kit import manifest
from kit.artefacts import sha256_file
from kit.errors import KitError

WHEEL = manifest.Wheel(
    name="timm",
    version="1.0",
    tags=["py3-none-any"],
    licence="Apache-2.0",
    accepts="==1.0",
    requires={"cp313": ["torch"]},
)


def entries():
    return [
        manifest.Entry(file="b.whl", size=2, sha256="11", role="wheel", wheel=WHEEL),
        manifest.Entry(file="a.safetensors", size=1, sha256="00", role="weights", run={"fold": 0}),
    ]


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


def test_an_excerpt_keeps_wheels_and_wanted_weights_and_the_identity():
    whole = manifest.Manifest(dataset="d", files=entries(), targets=["cp313"])
    found = manifest.excerpt(whole, weights={"00"}, distributions={"timm"})
    assert found.sha256() == whole.sha256() != manifest.Manifest(dataset="d", files=found.files).sha256()
    assert [(entry.file, entry.run) for entry in found.files] == [("b.whl", None), ("a.safetensors", None)]
    foreign = manifest.excerpt(whole, weights={"22"}, distributions={"torch"})
    assert foreign.files == []
    assert manifest.from_dict(found.as_dict()).sha256() == whole.sha256()
    assert "excerpt_of" not in whole.as_dict()


def test_what_a_wheel_needs_on_any_python_belongs_to_its_closure():
    needs = {"a": {"cp311": ["b"], "cp313": ["c"]}, "b": {"cp311": ["a"]}, "d": {}}
    files = [
        replace(entries()[0], file=f"{name}.whl", wheel=replace(WHEEL, name=name, requires=requires))
        for name, requires in needs.items()
    ]
    whole = manifest.Manifest(dataset="d", files=files)
    assert manifest.closure([whole], ["a"]) == {"a", "b", "c"}
    assert manifest.closure([whole], ["d", "e"]) == {"d", "e"}


@pytest.mark.parametrize(
    "value", [{"schema": 0}, {"schema": 1}, {"schema": 1, "files": [{"x": 1}], "dataset": "d", "targets": []}]
)
def test_foreign_json_is_refused(value):
    with pytest.raises(KitError) as caught:
        manifest.from_dict(value)
    assert "run `bundle` again" in caught.value.fix
