import json
import os
import re
import shutil
from xml.etree import ElementTree as ET

import pytest

from kit.errors import KitError
from submission.__main__ import main
from submission.report.image_rungs import image_chart
from submission.report.run_page import write_run_page
from submission.report.run_part import part_of, read_run
from submission.report.timeline import Bar
from submission.report.units import bars_of, summarised
from tests.html_page import Page


def page_of(path):
    return Page(path.read_text())


def test_the_page_of_a_run_tells_what_its_report_has(good_run, competition, tmp_path):
    out = tmp_path / "report.html"
    report = str(good_run.output / "report.json")
    assert main(["report", report, "--data", str(competition), "--out", str(out)]) == 0
    page = page_of(out)
    assert all(item == "data:," or item.startswith("#") for item in page.references), "no icon is asked for"
    (gallery,) = page.galleries
    assert [image["id"] for image in gallery["images"]] == ["aaa", "bbb"]
    assert all(image["score"] is None for image in gallery["images"]), "nobody knows the truth"
    assert all(set(picture["layers"]) <= {"predicted"} for picture in gallery["pictures"])
    text = " ".join(page.texts)
    assert "rung 2" in text
    assert "worker 0" in text
    assert "worker 1" in text
    assert "truth" not in page.texts
    assert "No problems were met." in text
    assert page.empty_columns() == []
    part = part_of(read_run(good_run.output / "report.json"), out)
    assert [rung.state for rung in part.rungs] == ["done", "done"]
    first, last = (rung.done_at for rung in part.rungs)
    # Where both are done within a moment, the file of the first one is never written.
    assert last > 0
    assert first is None or 0 < first < last
    assert part.images.count("<rect") == 2
    assert part.lost == []


def test_the_forecasts_of_a_run_end_where_its_rungs_were_done(good_run):
    run = read_run(good_run.output / "report.json")
    assert run["forecasts"], "the run forecast nothing"
    for item in run["forecasts"]:
        assert len(item["rungs"]) == len(item["ends"])
        for early, median, late in item["ends"]:
            assert item["seconds"] <= early <= median <= late
    times = [item["seconds"] for item in run["forecasts"]]
    assert times == sorted(times)
    assert times[-1] <= run["wall_seconds"]


def test_the_page_lies_beside_the_report_if_nobody_says_where(good_run, tmp_path, capsys):
    shutil.copy(good_run.output / "report.json", tmp_path)
    assert main(["report", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert page_of(tmp_path / "report.html").galleries == []


def test_a_run_that_was_killed_has_a_page_of_its_beginning(good_run, tmp_path):
    run = json.loads((good_run.output / "report.json").read_text())
    beginning = {key: run[key] for key in ("schema", "events", "problems", "ensemble", "budget")}
    beginning["events"] = beginning["events"][:2]
    (tmp_path / "report.json").write_text(json.dumps(beginning))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    assert page_of(tmp_path / "page.html").empty_columns() == []
    assert "did not end by itself" in re.sub(r"\s+", " ", (tmp_path / "page.html").read_text())


HIDDEN = {
    "safe": True,
    "why": [],
    "images": 30,
    "megapixels": 3.3,
    "rung": 1,
    "cv": 0.51,
    "run_seconds": 40.7,
    "budget": 600.0,
    "slower_same_rung": 14.2,
    "slower_first_rung": 17.4,
    "memory_peak": 1.8e9,
    "memory_total": None,
    "seconds_per_image": 1.2,
    "images_that_fit": 400,
}
UNKNOWN = {key: HIDDEN[key] for key in ("budget", "memory_peak", "memory_total", "seconds_per_image")}


@pytest.mark.parametrize(
    ("hidden", "said"),
    [
        (HIDDEN, "Safe to submit. 30 images of 3.3 megapixels: rung 2, score of unseen images 0.5100,"),
        (HIDDEN | {"safe": False, "why": ["memory ran out"]}, "Not safe to submit: memory ran out."),
        (HIDDEN | {"rung": None, "cv": None, "slower_same_rung": None}, "no rung is done after 41 of 600 s"),
        (UNKNOWN | {"safe": None, "images_that_fit": 400}, "Nobody said how large the hidden test set is."),
        ({"problem": "a signal ended it"}, "No forecast: a signal ended it."),
    ],
)
def test_the_page_says_what_the_hidden_run_will_be(hidden, said, good_run, tmp_path):
    run = json.loads((good_run.output / "report.json").read_text()) | {"hidden_run": hidden}
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    text = " ".join(" ".join(page_of(tmp_path / "page.html").texts).split())
    assert said in text


def test_texts_of_a_run_are_escaped(good_run, tmp_path):
    run = json.loads((good_run.output / "report.json").read_text())
    run["problems"] = [{"what": "<script>alert(1)</script>", "seconds": 1.0}]
    run["images"][0] |= {"id": "<b>a</b>", "row": "fallback", "reason": '"<i>'}
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    page = page_of(tmp_path / "page.html")
    assert page.names.count("script") == 1, "that of the colours"
    assert "i" not in page.names
    assert any("<script>" in text for text in page.texts)


def test_an_image_whose_name_is_not_utf8_is_shown_with_its_bytes(good_run, tmp_path):
    run = json.loads((good_run.output / "report.json").read_text())
    run["images"][0]["id"] = os.fsdecode(b"slide-\xe9")
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    assert "slide-\\udce9" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "no report of predict.py"),
        ('{"events": {}}', "no report of predict.py"),
        ('{"events": [], "schema": 99}', "schema 99"),
        ('{"events": [{"nam": 1}], "schema": 1}', "damaged"),
        ('{"events": [], "schema": 1, "tasks": [{"kind": "pass"}]}', "damaged"),
        ('{"events": [], "schema": 1, "install": {}}', "damaged"),
        ("no json", "report.json"),
    ],
)
def test_what_is_no_report_is_told(content, message, tmp_path):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(KitError, match=message):
        write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_pictures_of_a_run_that_never_began_are_refused(tmp_path):
    (tmp_path / "report.json").write_text('{"events": [], "schema": 1}')
    with pytest.raises(KitError, match="no images to show"):
        write_run_page(tmp_path / "report.json", tmp_path / "page.html", data=tmp_path)


@pytest.mark.parametrize(
    "arguments", [[], ["report.json", "--chapter", "a", "b", "c", "d"], ["--chapter", *"abcd"]]
)
def test_one_page_is_asked_for_at_a_time(arguments):
    with pytest.raises(KitError):
        main(["report", *arguments])


def test_the_page_of_the_largest_run_stays_small(good_run, tmp_path):
    """64 passes over 5000 images are 320,000 tasks."""
    run = json.loads((good_run.output / "report.json").read_text())
    passes, images = 64, 5000
    run["passes"] = [
        {**run["passes"][0], "index": index, "member": f"member{index // 4}"} for index in range(passes)
    ]
    run["tasks"] = [
        {
            "worker": image % 2,
            "kind": "pass",
            "index": index,
            "image": str(image),
            "begin": (index * images + image) // 2 * 0.1,
            "end": (index * images + image) // 2 * 0.1 + 0.09,
        }
        for index in range(passes)
        for image in range(images)
    ]
    run["images"] = [
        {"id": str(image), "height": 512, "width": 512, "row": "rung 1"} for image in range(images)
    ]
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_000_000


def test_of_very_many_bars_each_slot_of_a_lane_shows_what_most_of_it_was():
    # 30,000 bars of 1 s: two of three are "a", then "b" alone, then a rest.
    first = [Bar("worker 0", "f" if second % 3 == 2 else "a", second, second + 1) for second in range(15_000)]
    then = [Bar("worker 0", "b", second, second + 1) for second in range(15_000, 25_000)]
    shown = summarised([*first, *then], 30_000.0)
    assert [bar.label for bar in shown] == ["a", "b"]
    assert shown[0].start == 0
    assert shown[0].end == shown[1].start == 15_000
    assert shown[1].end == 25_000


def test_a_run_without_tasks_has_the_supervisors_bars_alone():
    run = {"events": [{"name": "start", "seconds": 0.1}, {"name": "fallback", "seconds": 0.4}]}
    assert bars_of(run) == [Bar("supervisor", "start", 0.0, 0.4)]


def test_every_image_has_a_square_in_the_colour_of_its_rung():
    rows = ["rung 10", "rung 2", "fallback", "rung 2"]
    images = [{"id": f"i{number}", "row": row, "reason": None} for number, row in enumerate(rows)]
    chart = image_chart({"images": images})
    squares = ET.fromstring(chart[chart.index("<svg") :]).findall("{http://www.w3.org/2000/svg}rect")
    colours = [square.get("fill") for square in squares]
    assert colours[1] == colours[3]
    assert len({*colours}) == 3
    legend = chart[: chart.index("<svg")]
    assert legend.index("fallback: 1") < legend.index("rung 2: 2") < legend.index("rung 10: 1")
