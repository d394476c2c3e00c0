"""Files are read ahead with many streams, within bounds, and nothing depends on it."""

import os
import threading
import time
from pathlib import Path

import pytest

from kit.streams import PIECE, STREAMS
from submission.runtime.work import ahead
from submission.runtime.work.ahead import ReadAhead


@pytest.fixture
def reads(monkeypatch):
    """(name, offset) of every piece that is read."""
    found, pread = [], os.pread

    def noting(handle, count, offset):
        found.append((Path(f"/proc/self/fd/{handle}").readlink().name, offset))
        return pread(handle, count, offset)

    monkeypatch.setattr(os, "pread", noting)
    return found


def wait_for_the_end():
    while any(thread.name == "ahead" for thread in threading.enumerate()):
        time.sleep(0.01)


def write(path, pieces):
    with path.open("wb") as stream:
        stream.truncate(pieces * PIECE)
    return path


def test_all_files_are_read_once_a_folder_of_parts_too_and_what_is_missing_is_left_out(tmp_path, reads):
    parts = tmp_path / "parts"
    parts.mkdir()
    files = [write(parts / "0", 2), write(parts / "1", 1), write(tmp_path / "image", 3)]
    ReadAhead().begin([str(tmp_path / "missing"), str(parts), str(files[2])])
    wait_for_the_end()
    assert sorted(reads) == [
        *(("0", number * PIECE) for number in range(2)),
        ("1", 0),
        *(("image", number * PIECE) for number in range(3)),
    ]


def test_as_many_streams_read_as_a_mount_needs(tmp_path, monkeypatch):
    meeting = threading.Barrier(STREAMS, timeout=600)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *what: (meeting.wait(), pread(*what))[1])
    ReadAhead().begin([str(write(tmp_path / "slide", STREAMS))])
    wait_for_the_end()
    assert not meeting.broken


def test_no_more_than_a_part_of_the_free_memory_is_read(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(ahead, "available_memory", lambda: 32 * PIECE)
    ReadAhead().begin([str(write(tmp_path / "weights", 3)), str(write(tmp_path / "slide", 100))])
    wait_for_the_end()
    assert sorted(reads) == [("slide", 0), *(("weights", number * PIECE) for number in range(3))]


def test_another_guess_ends_the_first(tmp_path, reads, monkeypatch):
    go_on, pread = threading.Event(), os.pread
    monkeypatch.setattr(ahead, "available_memory", lambda: None)

    def held(handle, count, offset):
        data = pread(handle, count, offset)
        go_on.wait(600)
        return data

    monkeypatch.setattr(os, "pread", held)
    reader = ReadAhead()
    reader.begin([str(write(tmp_path / "first", 200))])
    while len(reads) < STREAMS:
        time.sleep(0.01)
    reader.begin([str(write(tmp_path / "second", 1))])
    go_on.set()
    wait_for_the_end()
    assert len([name for name, _ in reads if name == "first"]) <= 2 * STREAMS
    assert ("second", 0) in reads
