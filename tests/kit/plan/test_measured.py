"""What the tasks of a run tell of its machine, exactly or where little is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.plan.measured import measured_tasks
from tests.kit.plan.ladders import ensemble_of

SIZES = {"a": 1.0, "b": 3.0, "c": 2.0, "d": 4.0, "e": 1.5}


class Machine:
    """Does tasks in exact times; a run starts its workers anew."""

    def __init__(self, ensemble, *, fixed, rate, load, imports, between=0.0):
        self.ensemble, self.fixed, self.rate, self.load = ensemble, fixed, rate, load
        self.imports, self.between = imports, between

    def run(self, worker, tasks):
        """Rows of report.json of one worker that does these tasks: (pass, image), or (kind, rung, image)."""
        now, loaded, rows = 10.0, None, []
        for index, image in tasks:
            member = self.ensemble.passes[index].member
            load = 0.0
            if loaded != member:
                load = self.load[member] + (self.imports if loaded is None else 0.0)
                loaded = member
            end = now + load + self.fixed + self.rate * SIZES[image]
            row = {"worker": worker, "kind": "pass", "index": index, "image": image, "begin": now, "end": end}
            rows.append(row | ({"load": load} if load else {}))
            now = end + self.between
        return rows


def everything(ensemble):
    return [(index, image) for index in range(len(ensemble.passes)) for image in SIZES]


@given(
    fixed=st.floats(0.0, 5.0),
    rate=st.floats(0.1, 5.0),
    load=st.floats(0.1, 30.0),
    imports=st.floats(0.0, 20.0),
    between=st.floats(0.0, 1.0),
)
def test_an_exact_machine_is_known(fixed, rate, load, imports, between):
    ensemble = ensemble_of([0, 1], [1, 2])
    machine = Machine(
        ensemble, fixed=fixed, rate=rate, load=[load, 2 * load], imports=imports, between=between
    )
    first = machine.run(0, everything(ensemble))
    second = machine.run(1, [(1, "a"), (0, "a"), (0, "b"), (1, "b")])
    found = measured_tasks(ensemble, [first, second], SIZES)
    # The line through a few tasks leans to their mean, by which the surplus of first tasks is judged.
    mean = sum(SIZES.values()) / len(SIZES)
    for line in found["passes"]:
        assert line[0] + line[1] * mean == pytest.approx(fixed + rate * mean, rel=0.1)
    assert found["between"] == pytest.approx(between, abs=1e-6)
    assert found["known"] == (0, 1)
    blur = 0.2 * (fixed + rate * mean) + 1e-6
    assert found["loads"] == pytest.approx((load, 2 * load), abs=blur)
    assert found["imports"] == pytest.approx(imports, abs=2 * blur)


def test_the_first_task_after_loading_counts_as_part_of_the_loading():
    ensemble = ensemble_of([0], [1])
    rows = Machine(ensemble, fixed=1.0, rate=0.0, load=[2.0], imports=0.0).run(0, everything(ensemble))
    rows[0]["end"] += 7.0  # its first batch makes the network ready
    found = measured_tasks(ensemble, [rows], SIZES)
    assert sum(found["passes"][0]) == pytest.approx(1.0, rel=0.2)
    assert found["loads"][0] == pytest.approx(9.0, rel=0.05)


def test_what_was_not_measured_is_told_by_the_rest():
    ensemble = ensemble_of([0, 1, 2], [1, 2, 3])
    rows = Machine(ensemble, fixed=0.0, rate=2.0, load=[4.0, 1.0, 1.0], imports=0.0).run(
        0, [(0, "a"), (0, "b"), (0, "c")]
    )
    found = measured_tasks(ensemble, [rows], SIZES)
    assert found["known"] == (0,)
    prior = [item.seconds_per_megapixel for item in ensemble.passes]
    rates = [line[1] for line in found["passes"]]
    assert rates[1] / rates[0] == pytest.approx(prior[1] / prior[0], rel=0.01)
    sizes = [member.size for member in ensemble.members]
    assert found["loads"][2] == pytest.approx(4.0 * sizes[2] / sizes[0])


def test_rows_and_checks_are_measured_too_and_failed_tasks_are_not():
    ensemble = ensemble_of([0], [1])
    rows = [
        {"worker": 0, "kind": "fuse", "index": 0, "image": "a", "begin": 0.0, "end": 9.0},
        {"worker": 0, "kind": "fuse", "index": 0, "image": "a", "begin": 9.0, "end": 9.5},
        {"worker": 0, "kind": "fuse", "index": 0, "image": "a", "begin": 9.5, "end": 10.0},
        {"worker": 0, "kind": "validate", "index": 0, "image": None, "begin": 10.0, "end": 11.0},
        {"worker": 0, "kind": "pass", "index": 0, "image": "a", "begin": 0, "end": 99, "failed": "stall"},
    ]
    found = measured_tasks(ensemble, [rows, []], SIZES)
    assert sum(found["rows"]) == pytest.approx(0.5)
    assert (found["validate"], found["known"]) == (1.0, ())


def test_a_pass_over_a_part_of_the_windows_tells_of_as_many_megapixels():
    ensemble = ensemble_of([0, 1], [1, 2])
    rows = Machine(ensemble, fixed=0.0, rate=2.0, load=[5.0, 5.0], imports=0.0).run(0, everything(ensemble))
    part = [
        row
        if "load" in row
        else row | {"left": 0.25, "end": row["begin"] + 0.25 * (row["end"] - row["begin"])}
        for row in rows
    ]
    nothing = [row | {"left": 0.0, "end": row["begin"]} for row in rows]
    found = measured_tasks(ensemble, [[*part, *nothing]], SIZES)
    assert [rate for _, rate in found["passes"]] == pytest.approx([2.0, 2.0])
    assert found["loads"] == pytest.approx((5.0, 5.0))
