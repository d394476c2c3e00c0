import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from kit.competitions import get
from kit.errors import KitError
from kit.predictions import SemanticMask, Values
from submission.runtime.result.submission_file import Submission, guess_sizes, image_sizes

KIDNEY, VASCULATURE = get("kidney"), get("vasculature")
SIZES = {"a": (4, 5), "b": (6, 7)}
DOCS = Path(__file__).parents[4] / "docs" / "competitions"


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


def listed(path, tmp_path, text):
    """A competition of a TOML file, and its listing of a sample submission."""
    competition = get(DOCS / path)
    sample = tmp_path / competition.format.submission.sample
    if sample.suffix == ".parquet":
        pd.read_csv(io.StringIO(text)).to_parquet(sample, index=False)
    else:
        sample.write_text(text)
    return competition, competition.listing(tmp_path)


RSNA = "ID,Label\n" + "".join(f"ID_{i}_{kind},0.{i}\n" for kind in ("any", "subdural") for i in (2, 1))


def test_several_rows_of_an_image_stand_where_the_sample_has_them(tmp_path):
    others = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid")
    more = "".join(f"ID_{i}_{kind},0.5\n" for i in (1, 2) for kind in others)
    competition, listing = listed("rsna-hemorrhage.toml", tmp_path, RSNA + more)
    assert listing.ids == ["ID_2", "ID_1"]
    sizes = dict.fromkeys(listing.ids, (4, 4))
    submission = Submission(competition, listing.ids, sizes, tmp_path / "s.csv", listing)
    submission.write_fallback()
    assert (tmp_path / "s.csv").read_text() == RSNA + more, "the fallback is the sample"
    found = Values(dict.fromkeys(competition.format.targets, 0.25))
    (tmp_path / "row.json").write_text(json.dumps(competition.rows("ID_1", found)))
    text = submission.text({"ID_1": tmp_path / "row.json"})
    expected = [re.sub(r"(ID_1_\w+),.*", r"\1,0.25", line) for line in (RSNA + more).splitlines()]
    assert text.splitlines() == expected
    submission.replace(text, "rung 1", {"ID_1": "rung 1"})
    assert competition.validate(tmp_path / "s.csv", listing.ids, sizes).ok


def test_a_parquet_file_holds_what_the_text_says(tmp_path):
    competition, listing = listed("shapes/age.toml", tmp_path, "id,years\na,50\nb,51\n")
    path = tmp_path / competition.format.submission.file
    submission = Submission(competition, listing.ids, dict.fromkeys("ab", (4, 4)), path, listing)
    submission.write_fallback()
    assert pd.read_parquet(path).to_dict("list") == {"id": ["a", "b"], "years": [50.0, 51.0]}
    (tmp_path / "row.json").write_text(json.dumps(competition.rows("b", Values({"years": 33.5}))))
    text = submission.text({"b": tmp_path / "row.json"})
    (tmp_path / "rung.csv").write_text(text)
    assert submission.validate_within(tmp_path / "rung.csv", 60.0).ok
    submission.replace(text, "rung 1", {"b": "rung 1"})
    assert pd.read_parquet(path)["years"].tolist() == [50.0, 33.5]
    assert submission.origins == {"a": "fallback", "b": "rung 1"}


def test_the_fallback_of_masks_is_empty_for_every_class_whatever_the_sample_says(tmp_path):
    rows = [f"{image}_{n}" for image in ("b.jpg", "a.jpg") for n in (1, 2, 3, 4)]
    text = "ImageId_ClassId,EncodedPixels\n" + "".join(f"{row},1 1\n" for row in rows)
    competition, listing = listed("severstal.toml", tmp_path, text)
    submission = Submission(
        competition, listing.ids, dict.fromkeys(listing.ids, (4, 4)), tmp_path / "s.csv", listing
    )
    submission.write_fallback()
    assert (tmp_path / "s.csv").read_text() == text.replace("1 1", "")
