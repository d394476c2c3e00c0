from hypothesis import given
from hypothesis import strategies as st

from submission.report.timeline import Bar, grouped, timeline
from tests.html_page import Page


def test_timeline_has_a_lane_for_each_worker_and_marks_moments():
    bars = [
        Bar("supervisor", "install", 0.0, 2.0),
        Bar("worker 0", "pass 1", 2.0, 5.0),
        Bar("worker 1", "pass 1", 2.0, 4.0),
    ]
    page = Page(timeline(bars, [(2.5, "first <forward> pass"), (4.0, "rung 1 written")], budget=8.0))
    assert {"supervisor", "worker 0", "worker 1", "install", "pass 1", "1", "2"} <= set(page.texts)
    assert "first <forward> pass" in page.texts
    assert page.names.count("svg") == 2, "a wide one, and a narrow one for a phone"
    assert page.names.count("li") == 2


@given(st.lists(st.floats(0, 100), max_size=30).map(sorted), st.floats(0.1, 20))
def test_numbers_of_moments_stand_apart_and_none_is_lost(seconds, closest):
    groups = grouped(seconds, closest)
    numbers = []
    for _, text in groups:
        first, _, last = text.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    assert numbers == list(range(1, len(seconds) + 1))
    assert all(low - 1e-6 <= at <= high + 1e-6 for at, low, high in zip(
        [at for at, _ in groups], [min(seconds)] * len(groups), [max(seconds)] * len(groups), strict=True
    )) if seconds else not groups  # fmt: skip


def test_the_same_chart_is_the_same_text():
    bars = [Bar("worker 0", "pass 1", 0.0, 1.0)]
    assert timeline(bars, [], budget=None) == timeline(bars, [], budget=None)
