"""The bars of a run's timeline, by what its tasks came to."""

from submission.report.units import bars_of


def task(index, begin, **more):
    return {
        "worker": 0,
        "kind": "pass",
        "index": index,
        "image": "a",
        "begin": begin,
        "end": begin + 1,
        **more,
    }


def labels(run):
    return [bar.label for bar in bars_of(run) if bar.lane == "worker 0" and bar.start >= 100]


def test_bars_are_called_after_the_pass_the_kind_or_the_failure():
    tasks = [task(0, 100), task(1, 101, failed="read"), {**task(0, 102), "kind": "fuse"}]
    assert labels({"tasks": tasks, "events": []}) == ["pass 1", "failed", "fuse"]


def test_of_many_passes_the_members_are_named():
    tasks = [task(index, 100 + index) for index in range(14)]
    passes = [{"index": index, "member": f"m{index // 7}"} for index in range(13)]
    assert labels({"tasks": tasks, "events": [], "passes": passes}) == [*["m0"] * 7, *["m1"] * 6, "pass 14"]
