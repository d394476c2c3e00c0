"""Source distributions: what is unpacked, and that nothing is written outside."""

import io
import shutil
import tarfile
import zipfile

import pytest

from bundle.foreign.sdist_file import Sdist
from kit.errors import KitError


def packed(project, kind):
    base = project.parent / "my_models-0.3"
    shutil.copytree(project, base)
    (base / "tool.sh").write_text("#!/bin/sh\n")
    (base / "tool.sh").chmod(0o755)
    made = shutil.make_archive(str(base), {"tar.gz": "gztar", "zip": "zip"}[kind], project.parent, base.name)
    return Sdist(project.parent / made, "", "foreign.in:1")


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_its_top_folder_is_the_project(project, tmp_path, kind):
    source = packed(project, kind)
    found = source.unpack(tmp_path / "to")
    assert found == tmp_path / "to" / "my_models-0.3"
    assert (found / "backend.py").read_text() == (project / "backend.py").read_text()
    assert (found / "tool.sh").stat().st_mode & 0o100, "programs stay programs"
    assert source.content().startswith("sha256:")
    assert source.origin(source.content()).text == f"{source.path.name} {source.content()}"


def test_one_without_a_top_folder_is_taken_as_it_is(project, tmp_path):
    made = shutil.make_archive(str(tmp_path / "flat"), "zip", project)
    assert Sdist(tmp_path / made, "", "x").unpack(tmp_path / "to") == tmp_path / "to"


def tar_with(path, name, **fields):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(b""))
    return Sdist(path, "", "foreign.in:1")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../evil.py", {}),
        ("x/../../evil.py", {}),
        ("/evil.py", {}),
        ("x/link", {"type": tarfile.SYMTYPE, "linkname": "../../evil"}),
        ("x/link", {"type": tarfile.LNKTYPE, "linkname": "../../evil"}),
        ("x/device", {"type": tarfile.CHRTYPE}),
    ],
)
def test_a_tar_that_leads_outside_writes_nothing(tmp_path, name, fields):
    source = tar_with(tmp_path / "evil-1.0.tar.gz", name, **fields)
    with pytest.raises(KitError, match="would write outside of its folder") as refused:
        source.unpack(tmp_path / "deep" / "to")
    assert name in refused.value.problem
    assert not list(tmp_path.rglob("evil.py"))


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "x\\..\\..\\evil.py"])
def test_a_zip_that_leads_outside_writes_nothing(tmp_path, name):
    path = tmp_path / "evil-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"")
    with pytest.raises(KitError, match="would write outside of its folder"):
        Sdist(path, "", "foreign.in:1").unpack(tmp_path / "deep" / "to")
    assert not list(tmp_path.rglob("*evil.py"))


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = tmp_path / "evil-1.0.zip"
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(KitError, match="would write outside of its folder: 'link'"):
        Sdist(path, "", "foreign.in:1").unpack(tmp_path / "to")


@pytest.mark.parametrize("name", ["x-1.0.tar.gz", "x-1.0.zip"])
def test_a_damaged_one_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no archive")
    with pytest.raises(KitError, match="the source distribution cannot be unpacked") as refused:
        Sdist(path, "", "foreign.in:1").unpack(tmp_path / "to")
    assert refused.value.where == str(path)


def test_a_zip_with_a_damaged_file_in_it_is_named(tmp_path):
    path = tmp_path / "x-1.0.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.py", b"a = 1\n" * 1000)
    whole = bytearray(path.read_bytes())
    whole[30 + len("x.py")] = 0xFF  # the first byte behind the header: a block of no known kind
    path.write_bytes(whole)
    with pytest.raises(KitError, match="the source distribution cannot be unpacked"):
        Sdist(path, "", "foreign.in:1").unpack(tmp_path / "to")


def test_a_truncated_one_is_named(project, tmp_path):
    source = packed(project, "tar.gz")
    source.path.write_bytes(source.path.read_bytes()[:-40])
    with pytest.raises(KitError, match="the source distribution cannot be unpacked"):
        source.unpack(tmp_path / "to")
