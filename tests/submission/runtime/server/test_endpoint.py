"""Calls are answered in time whatever the engine does; here it is a thread that does it."""

import threading
import time
from queue import Empty

import pandas as pd
import pytest

from kit.competitions.folder import CompetitionFolder
from kit.competitions.parsing import parse
from kit.competitions.presets import PRESETS
from kit.errors import KitError
from submission.runtime.result.report import RunReport
from submission.runtime.server.endpoint import Endpoint
from submission.runtime.server.journal import Journal
from tests.kit.plan.ladders import ensemble_of

TABLE = {"module": "kaggle_evaluation.x", "deadline": 1, "arguments": ["files"]}
COMPETITION = CompetitionFolder(
    parse({**PRESETS["kidney"], "name": "served", "hidden_images": 9, "server": TABLE})
)


@pytest.fixture
def made(tmp_path):
    """An endpoint, and a function that runs an engine beside it."""
    report = RunReport(time.monotonic())
    journal = Journal(tmp_path, ensemble_of([0], [1]), report.start, go_on=False)
    endpoint = Endpoint(COMPETITION, journal, report, budget=30.0, images=9)
    over = threading.Event()
    threads = []

    def engine(answer):
        def work():
            while not over.is_set():
                try:
                    call = endpoint.calls.get(timeout=0.05)
                except Empty:
                    continue
                answer(call)

        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield endpoint, engine
    over.set()
    for thread in threads:
        thread.join()


def rows(call):
    return {image: [{"id": image, "predicted": f"mask of {image}"}] for image in call.batch.files}


def test_an_answer_is_a_dataframe_of_the_engines_rows(made):
    endpoint, engine = made
    engine(lambda call: call.rows.set_result(rows(call)))
    answer = endpoint.function()("/kaggle/shared/test/a.tiff")
    expected = pd.DataFrame({"id": ["a"], "predicted": ["mask of a"]})
    pd.testing.assert_frame_equal(answer, expected)
    assert endpoint.function().__name__ == "predict"


def test_a_batch_that_comes_again_gets_the_same_answer_and_no_work(made):
    endpoint, engine = made
    numbers = []

    def work(call):
        numbers.append(call.number)
        call.rows.set_result(
            {image: [{"id": image, "predicted": str(call.number)}] for image in call.batch.files}
        )

    engine(work)
    first = endpoint.answer([["x/a.tiff", "x/b.tiff"]])
    assert endpoint.answer([["x/b.tiff"]]) != first
    assert endpoint.answer([["x/a.tiff", "x/b.tiff"]]) == first
    assert numbers == [1, 2]
    assert endpoint.journal.progress.calls == 2


def test_one_that_comes_again_while_the_first_is_at_work_waits_for_its_answer(made):
    endpoint, engine = made
    begin, numbers, found = threading.Event(), [], []

    def work(call):
        numbers.append(call.number)
        begin.wait()
        call.rows.set_result(rows(call))

    engine(work)
    threads = [threading.Thread(target=lambda: found.append(endpoint.answer([["x/a.tiff"]]))) for _ in "12"]
    for thread in threads:
        thread.start()
    begin.set()
    for thread in threads:
        thread.join()
    assert numbers == [1]
    assert found[0] == found[1] == {"id": ["a"], "predicted": ["mask of a"]}


@pytest.mark.parametrize(
    ("engine_does", "said"),
    [
        (lambda call: None, "its time was up"),
        (lambda call: call.rows.set_exception(OSError("disk")), "OSError: disk"),
        (
            lambda call: call.rows.set_result({"a": [{"id": "a", "predicted": "1 2"}]}),
            "the fallback for 1 image: ",
        ),
    ],
)
def test_where_rows_are_missing_the_fallback_goes_out(made, engine_does, said, capsys):
    endpoint, engine = made
    engine(engine_does)
    endpoint.answer([["x/first.tiff"]])  # it may take longer than the deadline
    answer = endpoint.answer([["x/a.tiff", "x/b.tiff"]])
    assert answer["id"] == ["a", "b"]
    assert answer["predicted"][1] == ""
    assert said in capsys.readouterr().out


def test_a_call_that_does_not_even_tell_its_ids_is_an_error(made):
    endpoint, _ = made
    with pytest.raises(KitError):
        endpoint.answer([])


def test_when_the_runs_time_is_over_calls_are_answered_at_once(tmp_path):
    report = RunReport(time.monotonic() - 1000)
    journal = Journal(tmp_path, ensemble_of([0], [1]), report.start, go_on=False)
    endpoint = Endpoint(COMPETITION, journal, report, budget=600.0, images=9)
    answer = endpoint.answer([["x/a.tiff"]])
    call = endpoint.calls.get_nowait()
    assert (call.share, call.last - call.begin) == (0.0, 0.0)
    assert answer["predicted"] == [""]
