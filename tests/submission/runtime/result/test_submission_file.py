import json
import os

import numpy as np
import pytest
import tifffile

from kit.competitions import get
from kit.errors import KitError
from kit.predictions import SemanticMask
from submission.runtime.result.submission_file import Submission, guess_sizes, image_sizes

KIDNEY, VASCULATURE = get("kidney"), get("vasculature")
SIZES = {"a": (4, 5), "b": (6, 7)}


@pytest.fixture
def submission(tmp_path) -> Submission:
    return Submission(KIDNEY, list(SIZES), SIZES, tmp_path / "submission.csv")


def row(tmp_path, image: str, runs: list[list[int]]):
    path = tmp_path / f"{image}.json"
    mask = SemanticMask(*SIZES[image], np.array(runs, np.int64))
    path.write_text(json.dumps(KIDNEY.rows(image, mask)))
    return path


def test_the_fallback_is_valid_and_empty(submission):
    submission.write_fallback()
    assert submission.path.read_text() == "id,predicted\na,\nb,\n"
    assert submission.state == "fallback"
    assert submission.origins == {"a": "fallback", "b": "fallback"}


def test_the_fallback_of_instances_carries_the_sizes(tmp_path):
    submission = Submission(VASCULATURE, list(SIZES), SIZES, tmp_path / "submission.csv")
    submission.write_fallback()
    assert submission.path.read_text() == "id,height,width,prediction_string\na,4,5,\nb,6,7,\n"


def test_rows_replace_the_fallback_where_they_are_there(submission, tmp_path):
    submission.write_fallback()
    text = submission.text({"b": row(tmp_path, "b", [[0, 3]])})
    assert text == "id,predicted\na,\nb,1 3\n"
    submission.replace(text, "part of rung 1", {"b": "rung 1"})
    assert submission.path.read_text() == text
    assert submission.origins == {"a": "fallback", "b": "rung 1"}


def test_a_file_that_cannot_be_replaced_stays_as_it_was(submission, monkeypatch):
    submission.write_fallback()
    before = submission.path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kit.artefacts.os.fsync", full)
    with pytest.raises(KitError, match="No space left on device"):
        submission.replace("id,predicted\n", "rung 1", {})
    assert submission.path.read_text() == before
    assert submission.state == "fallback"
    assert [path.name for path in submission.path.parent.iterdir()] == ["submission.csv"]


def test_an_invalid_candidate_is_found_out(submission, tmp_path):
    candidate = tmp_path / "candidate.csv"
    candidate.write_text("id,predicted\na,1 3\nb,999 3\n")
    report = submission.validate_within(candidate, 600)
    assert report is not None
    assert not report.ok


def test_validation_takes_no_longer_than_there_is_time(submission, tmp_path):
    # Python reads these rows for seconds; the thread that is left behind then ends by itself.
    long = tmp_path / "long.csv"
    long.write_text("id,predicted\n" + "".join(f"image{number},1 1\n" for number in range(1_000_000)))
    assert submission.validate_within(long, 0.01) is None


def test_sizes_come_from_headers_and_unreadable_images_are_told(tmp_path):
    (tmp_path / "test").mkdir()
    tifffile.imwrite(tmp_path / "test" / "good.tiff", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "test" / "deep.tiff", np.zeros((30, 40, 3), np.uint32), photometric="rgb")
    (tmp_path / "test" / "bad.tiff").write_bytes(b"II*\0")
    sizes, unreadable = image_sizes(KIDNEY, tmp_path, ["good", "deep", "bad", "absent"], silence=600)
    assert sizes == {"good": (30, 40)}
    assert sorted(unreadable) == ["absent", "bad", "deep"]
    assert "32-bit" in unreadable["deep"]


def test_what_is_no_file_holds_up_nobody(tmp_path):
    (tmp_path / "test").mkdir()
    tifffile.imwrite(tmp_path / "test" / "good.tiff", np.zeros((30, 40, 3), np.uint8), photometric="rgb")
    os.mkfifo(tmp_path / "test" / "pipe.tiff")  # a plain open() would wait for a writer
    sizes, unreadable = image_sizes(KIDNEY, tmp_path, ["pipe", "good", "nul\0"], silence=600)
    assert sizes == {"good": (30, 40)}
    assert sorted(unreadable) == ["nul\0", "pipe"]
    assert "it is a pipe or a device, not a file" in unreadable["pipe"]


def test_the_commonest_size_stands_in_for_unreadable_images():
    assert guess_sizes(["a", "b", "c", "d"], {"a": (1, 2), "b": (3, 4), "c": (3, 4)})["d"] == (3, 4)
    assert guess_sizes(["a"], {}) == {"a": (512, 512)}
