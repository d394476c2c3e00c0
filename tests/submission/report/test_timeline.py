from xml.etree import ElementTree as ET

from submission.report.timeline import Bar, timeline

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return {element.text for element in ET.fromstring(svg).iter(f"{SVG}text")}


def test_timeline_has_a_lane_for_each_worker_and_marks_moments():
    bars = [
        Bar("supervisor", "install", 0.0, 2.0),
        Bar("worker 0", "pass 1", 2.0, 5.0),
        Bar("worker 1", "pass 1", 2.0, 4.0),
    ]
    svg = timeline(bars, [(2.5, "first forward pass")], budget=8.0)
    assert {"supervisor", "worker 0", "worker 1", "install", "pass 1", " first forward pass"} <= texts(svg)


def test_the_same_chart_is_the_same_text():
    bars = [Bar("worker 0", "pass 1", 0.0, 1.0)]
    assert timeline(bars, [], budget=None) == timeline(bars, [], budget=None)
