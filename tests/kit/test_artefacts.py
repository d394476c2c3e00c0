import errno
import os
import random
import signal
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import artefacts
from kit.errors import KitError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_round_trips_and_has_one_text(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    artefacts.write_json(path, value)
    again = artefacts.read_json(path)
    assert again == value
    assert artefacts.canonical_json(again) == path.read_text(encoding="utf-8")


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_hash_ignores_the_order_of_keys(value):
    assert artefacts.sha256_json(value) == artefacts.sha256_json(dict(reversed(value.items())))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        artefacts.canonical_json({"dice": float("nan")})


def test_missing_and_damaged_json_name_the_file(tmp_path):
    with pytest.raises(KitError, match=r"missing[\s\S]*a.json"):
        artefacts.read_json(tmp_path / "a.json")
    for text in ('{"cut":', "[" * 100_000):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(KitError, match=r"not a readable JSON[\s\S]*b.json"):
            artefacts.read_json(tmp_path / "b.json")


def test_failed_write_keeps_the_old_file(tmp_path):
    script = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        from kit import artefacts
        from kit.local.program import run_cli
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        sys.exit(run_cli(lambda argv: artefacts.write_bytes(Path(argv[0]), b"x" * 100_000) or 0))
    """)
    target = tmp_path / "submission.csv"
    target.write_text("old")
    run = subprocess.run([sys.executable, "-c", script, target], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "cannot write submission.csv: File too large" in run.stderr
    assert "what was there before is unchanged" in run.stderr
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["submission.csv"]


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path):
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from kit import artefacts
        target = Path(sys.argv[1])
        print("ready", flush=True)
        for number in range(10**9):
            artefacts.write_bytes(target, bytes([number % 256]) * 50_000)
    """)
    target = tmp_path / "weights.bin"
    process = subprocess.Popen([sys.executable, "-c", script, target], stdout=subprocess.PIPE)
    process.stdout.readline()
    while not target.exists():
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    data = target.read_bytes()
    assert len(data) == 50_000
    assert len(set(data)) == 1


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "deep" / "map.npy"
    artefacts.write_bytes(target, b"old")

    def fail():
        with artefacts.atomic_file(target) as temporary:
            temporary.write_bytes(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(path.name, path.read_bytes()) for path in target.parent.iterdir()] == [("map.npy", b"old")]


def test_a_file_that_cannot_be_read_is_not_told_as_one_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"image\.tiff"), artefacts.atomic_file(tmp_path / "map.npy"):
        (tmp_path / "image.tiff").read_bytes()
    with pytest.raises(OSError, match="Input/output"), artefacts.atomic_file(tmp_path / "map.npy"):
        raise OSError(errno.EIO, "Input/output error")


def test_a_file_that_is_a_folder_is_told(tmp_path):
    (tmp_path / "map.npy").mkdir()
    with pytest.raises(KitError, match=r"map.npy: Is a directory[\s\S]*fix:   it is a folder: name a file"):
        artefacts.write_bytes(tmp_path / "map.npy", b"map")


def test_a_folder_that_is_a_file_is_told(tmp_path):
    (tmp_path / "folder").write_text("")
    message = r"cannot write map.npy: File exists[\s\S]*fix:   choose --out"
    target = tmp_path / "folder" / "map.npy"
    with pytest.raises(KitError, match=message), artefacts.atomic_file(target, fix="choose --out"):
        pass


def test_leftovers_of_a_folder_or_of_one_file_are_removed(tmp_path):
    for name in ("a/.b[1].npy.0f.tmp", "a/.other.npy.0f.tmp", "a/b[1].npy", "a/c.tmp"):
        artefacts.write_bytes(tmp_path / name, b"")
    artefacts.remove_leftovers(tmp_path / "a" / "b[1].npy")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {".other.npy.0f.tmp", "b[1].npy", "c.tmp"}
    artefacts.remove_leftovers(tmp_path)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b[1].npy", "c.tmp"}


def test_a_leftover_that_may_have_a_writer_stays(tmp_path):
    old, new = tmp_path / ".report.json.0f.tmp", tmp_path / ".report.json.1f.tmp"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    artefacts.remove_leftovers(tmp_path / "report.json", seconds=3600.0)
    assert list(tmp_path.iterdir()) == [new]


_ON_A_MOUNT = """
import sys, tarfile, zipfile
from pathlib import Path
from kit.artefacts import open_to_read, read_text, sha256_bytes, sha256_file
folder = Path(sys.argv[1])
print(sha256_file(folder / "data"))
with open_to_read(folder / "data") as stream:
    print(sha256_bytes(stream.read()))
print(len(read_text(folder / "text")))
with open_to_read(folder / "data.zip") as stream, zipfile.ZipFile(stream) as packed:
    print(sha256_bytes(packed.read("data")))
with open_to_read(folder / "data.tgz") as stream, tarfile.open(fileobj=stream) as packed:
    print(sha256_bytes(packed.extractfile("data").read()))
"""


def test_reads_do_not_depend_on_how_much_a_mount_returns_at_once(tmp_path, difficult_mount):
    data = random.Random(0).randbytes(3_000_000)
    (tmp_path / "data").write_bytes(data)
    (tmp_path / "text").write_text("\u00e9" * 200_000, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(tmp_path / "data", "data")
    with tarfile.open(tmp_path / "data.tgz", "w:gz") as packed:
        packed.add(tmp_path / "data", "data")
    for trouble in ({}, {"bytes": 65536}, {"bytes": 1009, "faults": 1}):
        done = subprocess.run(
            [sys.executable, "-c", _ON_A_MOUNT, str(tmp_path)],
            env=difficult_mount(tmp_path, **trouble),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        sha256 = artefacts.sha256_bytes(data)
        assert done.stdout.split() == [sha256, sha256, "200000", sha256, sha256], trouble


def test_a_part_of_a_file_is_read_to_its_end_and_no_further(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with path.open("rb") as stream:
        handle = stream.fileno()
        parts = [
            artefacts.read_at(handle, size, offset) for size, offset in ((4, 0), (9, 8), (3, 10), (0, 2))
        ]
    assert parts == [b"0123", b"89", b"", b""]


def test_a_disk_that_fails_every_time_is_told(tmp_path, monkeypatch):
    def broken(handle, size, offset):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "data"
    path.write_bytes(b"0")
    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(OSError, match="Input/output"):
        artefacts.sha256_file(path)
