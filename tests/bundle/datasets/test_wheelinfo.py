import zipfile

import pytest

from bundle import wheelinfo
from kit.errors import KitError
from kit.local.targets import marker_environment


def test_a_wheel_says_its_name_version_tags_licence_and_needs(index):
    path = index.add(
        "Some-Tool", "2.0", ['old ; python_version < "3.12"', "new>=1"], tag="cp38-abi3-manylinux2014_x86_64"
    )
    info = wheelinfo.read(path)
    assert (info.name, info.version, info.licence) == ("some-tool", "2.0", "MIT")
    assert info.tag_names() == ["cp38-abi3-manylinux2014_x86_64"]
    assert [item.name for item in info.needs(marker_environment("3.13"))] == ["new"]
    assert [item.name for item in info.needs(marker_environment("3.11"))] == ["old", "new"]


def test_needs_of_an_extra_count_only_when_it_is_asked_for(index):
    info = wheelinfo.read(index.add("tool", requires=['web ; extra == "http" and python_version >= "3.12"']))
    assert info.needs(marker_environment("3.13")) == []
    assert [item.name for item in info.needs(marker_environment("3.13"), ["http"])] == ["web"]
    assert info.needs(marker_environment("3.11"), ["http"]) == []


def rewritten(path, **fields):
    """The wheel with a METADATA of other header lines."""
    with zipfile.ZipFile(path, "w") as archive:
        lines = [f"{key.replace('_', '-')}: {value}" for key, value in fields.items()]
        archive.writestr("tool-1.0.dist-info/METADATA", "\n".join([*lines, "", ""]))
    return path


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License": "MIT", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD License"),
        ({"License": "MIT", "Classifier": "License :: OSI Approved"}, "MIT"),
        ({"License": "Some long text " * 20}, ("Some long text " * 20)[:80].strip()),
        ({"License": "UNKNOWN"}, "not stated"),
        ({}, "not stated"),
    ],
)
def test_the_licence_is_named_as_briefly_as_the_metadata_allows(index, fields, licence):
    path = rewritten(index.add("tool"), Name="tool", **fields)
    assert wheelinfo.read(path).licence.strip() == licence


def test_what_is_no_wheel_is_named(index):
    damaged = index.folder / "tool-1.0-py3-none-any.whl"
    damaged.write_bytes(b"PK")
    with pytest.raises(KitError, match="not a usable wheel") as error:
        wheelinfo.read(damaged)
    assert damaged.name in str(error.value)
    empty = index.folder / "empty-1.0-py3-none-any.whl"
    zipfile.ZipFile(empty, "w").close()
    with pytest.raises(KitError, match="the wheel has no METADATA"):
        wheelinfo.read(empty)
    odd = rewritten(index.folder / "tool-1.0-py3-none-any.whl", Requires_Dist="???")
    with pytest.raises(KitError, match="not a usable wheel"):
        wheelinfo.read(odd)
    with pytest.raises(KitError, match="not a usable wheel"):
        wheelinfo.read(index.folder / "tool.whl")
