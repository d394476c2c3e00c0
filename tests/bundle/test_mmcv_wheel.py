import base64
import csv
import email
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from bundle.mmcv_wheel import SOURCE, build_wheel
from kit.errors import KitError

ROOT = Path(__file__).parents[2]
INFO = "mmcv_full-1.7.2.dist-info/"


@pytest.fixture(scope="module")
def content(mmcv_wheel):
    with zipfile.ZipFile(mmcv_wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def released(mmcv_sdist):
    with tarfile.open(mmcv_sdist) as tar:
        files = {m.name.partition("/")[2]: tar.extractfile(m).read() for m in tar if m.isfile()}
    assert len(files) > 600
    return files


def test_its_name_tells_it_from_a_native_build(mmcv_wheel):
    assert mmcv_wheel.name == "mmcv_full-1.7.2-1portable-py3-none-any.whl"


def test_every_python_file_of_mmcv_is_there_untouched(content, released):
    python = {name for name in released if name.startswith("mmcv/") and name.endswith(".py")}
    assert len(python) > 200
    assert {name: content.get(name) for name in python} == {name: released[name] for name in python}


def test_the_only_other_files_are_ours_the_model_zoo_and_the_metadata(content, released):
    ours = {name for name in content if name not in released}
    assert {name for name in ours if not name.startswith(INFO)} == {
        f"mmcv/{path.name}" for path in SOURCE.glob("_*.py") if path.name != "__init__.py"
    }
    assert content["mmcv/_ext.py"] == (SOURCE / "_ext.py").read_bytes()
    assert {name for name in content if name in released and not name.endswith(".py")} == {
        f"mmcv/model_zoo/{name}.json" for name in ("deprecated", "mmcls", "open_mmlab", "torchvision_0.12")
    }


def test_its_licences_are_kept(content, released):
    for name in ("LICENSE", "LICENSES.md"):
        assert content[f"{INFO}licenses/{name}"] == released[name]
    assert b"Apache License" in released["LICENSE"]


def test_its_metadata_asks_for_what_mmcv_imports_and_for_no_opencv(content):
    metadata = email.message_from_bytes(content[f"{INFO}METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("mmcv-full", "1.7.2")
    assert metadata["License-Expression"] == "Apache-2.0"
    required = metadata.get_all("Requires-Dist")
    assert "yapf<0.40.2" in required
    assert {name.split("<")[0] for name in required} == {
        *("addict", "numpy", "packaging", "Pillow", "pyyaml", "torch", "torchvision", "yapf")
    }
    wheel = email.message_from_bytes(content[f"{INFO}WHEEL"])
    assert (wheel["Build"], wheel["Tag"], wheel["Root-Is-Purelib"]) == ("1portable", "py3-none-any", "true")


def test_record_lists_every_file_with_its_hash_and_size(content):
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(content[f"{INFO}RECORD"].decode()))}
    assert rows.pop(f"{INFO}RECORD") == ["", ""]
    assert list(content)[-1] == f"{INFO}RECORD"
    assert set(rows) == set(content) - {f"{INFO}RECORD"}
    for name, (digest, size) in rows.items():
        hashed = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest()).rstrip(b"=").decode()
        assert (digest, int(size)) == (f"sha256={hashed}", len(content[name]))


def wheel_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "bundle", "wheel", "mmcv", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_two_builds_in_different_surroundings_are_the_same_bytes(
    mmcv_wheel, mmcv_sdist, run_elsewhere, tmp_path
):
    """`run_elsewhere` says in which; the source distribution has another place and age too."""
    copied = tmp_path / "other name" / mmcv_sdist.name
    copied.parent.mkdir()
    copied.write_bytes(mmcv_sdist.read_bytes())
    os.utime(copied, (10**9, 10**9))
    command = "from bundle.__main__ import main; main(sys.argv[1:])"
    said = run_elsewhere(command, "wheel", "mmcv", "--out", "out", "--sdist", copied)
    other = tmp_path / said
    assert other.name == mmcv_wheel.name
    assert other.read_bytes() == mmcv_wheel.read_bytes()


def test_pip_installs_it_and_finds_nothing_amiss(mmcv_wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-compile", "--quiet"]
    subprocess.run([*pip, "--target", tmp_path, mmcv_wheel], check=True)
    assert (tmp_path / "mmcv" / "_ext.py").read_bytes() == (SOURCE / "_ext.py").read_bytes()
    assert (tmp_path / INFO / "licenses" / "LICENSE").is_file()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: data[:-1000], "606853 bytes"),
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "607853 bytes"),
    ],
    ids=["truncated", "one bit flipped"],
)
def test_another_source_distribution_is_refused(mmcv_sdist, tmp_path, spoil, told):
    damaged = tmp_path / mmcv_sdist.name
    damaged.write_bytes(spoil(mmcv_sdist.read_bytes()))
    done = wheel_command("--out", tmp_path / "out", "--sdist", damaged, cwd=ROOT)
    assert done.returncode == 2
    assert f"error: mmcv-full-1.7.2.tar.gz is not the pinned file: {told} with sha256" in done.stderr
    assert str(damaged) in done.stderr
    assert "truncated, damaged or another release" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_source_distribution_is_named(tmp_path):
    with pytest.raises(KitError, match=r"mmcv-full-1\.7\.2\.tar\.gz is missing"):
        build_wheel(tmp_path / "out", cache=tmp_path, sdist=tmp_path / "nowhere.tar.gz")


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    done = wheel_command("--out", tmp_path / "out", cwd=ROOT)
    assert done.returncode == 2
    assert "error: --out is a file" in done.stderr
