import json

import pytest

from submission.report.memory import ProcessMemory, memory_chart, processes
from submission.report.run_page import write_run_page
from tests.html_page import Page

RUN = {
    "memory": [[0.1, 2e8], [60.0, 12e9], [120.0, 9e9]],
    "memory_peak": 12e9,
    "memory_peaks": {"supervisor": 1e8, "worker 0": 6e9, "worker 10": 1e9, "worker 2": 7e9},
    "memory_total": 31e9,
    "tasks": [
        {"worker": 2, "kind": "pass", "index": 0, "begin": 1.0, "end": 2.0, "gpu_bytes": 4e9},
        {"worker": 2, "kind": "pass", "index": 0, "begin": 2.0, "end": 3.0, "gpu_bytes": 5e9},
        {"worker": 0, "kind": "fuse", "index": 0, "begin": 1.0, "end": 2.0},
    ],
}


def test_the_processes_stand_in_the_order_of_their_start_with_the_most_they_had():
    assert processes(RUN) == [
        ProcessMemory("supervisor", 1e8, None),
        ProcessMemory("worker 0", 6e9, None),
        ProcessMemory("worker 2", 7e9, 5e9),
        ProcessMemory("worker 10", 1e9, None),
    ]
    assert processes({}) == []


@pytest.mark.parametrize("total", [31e9, None, 310e9])
def test_the_curve_stands_below_the_memory_of_the_machine(total):
    chart = memory_chart(RUN | {"memory_total": total})
    assert chart is not None
    page = Page(chart)
    assert page.charts == 2, "a wide one, and a narrow one for a phone"
    assert ("31.0 GB of the machine" in page.texts) == (total == 31e9)
    assert "310.0 GB of the machine" not in page.texts, "so far above that the curve would lie on the ground"
    assert chart == memory_chart(RUN | {"memory_total": total})


def test_without_points_there_is_no_curve():
    assert memory_chart({}) is None
    assert memory_chart(RUN | {"memory": RUN["memory"][:1]}) is None


def test_the_page_of_a_real_run_shows_its_memory(good_run, tmp_path):
    report = good_run.report
    assert report["memory"][0][0] < report["memory"][-1][0] <= report["wall_seconds"]
    assert 1 << 27 < report["memory_peak"] <= sum(report["memory_peaks"].values())
    assert report["memory_peaks"].keys() == {"supervisor", "worker 0", "worker 1"}
    write_run_page(good_run.output / "report.json", tmp_path / "page.html")
    texts = Page((tmp_path / "page.html").read_text()).texts
    told = " ".join(" ".join(texts).split())
    assert f"At most {report['memory_peak'] / 1e9:.2f} GB at one moment" in told
    assert texts.count("worker 1") >= 2  # in the timeline and in the table


def test_a_run_on_gpus_shows_theirs(good_run, tmp_path):
    run = good_run.report
    for task in run["tasks"]:
        if task["kind"] == "pass":
            task["gpu_bytes"] = 7_250_000_000 if task["worker"] else 1_000_000_000
    (tmp_path / "report.json").write_text(json.dumps(run))
    write_run_page(tmp_path / "report.json", tmp_path / "page.html")
    assert "7.25" in Page((tmp_path / "page.html").read_text()).texts
