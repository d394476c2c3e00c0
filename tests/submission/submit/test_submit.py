"""From predict.py to a score, through the official client: sent once, whatever happens in between."""

import json

import pytest

from kit.errors import BAD_INPUT, KitError
from kit.local.kaggle.patience import Patience
from kit.local.kaggle.wire import Wire
from submission.submit import competition
from submission.submit.log import Log
from tests.kaggle_server.competitions import Entry
from tests.kaggle_server.faults import Fault
from tests.lock_holder import held_elsewhere

SEND, SAVE = "competitions.CreateCodeSubmission", "kernels.SaveKernel"
GET = "competitions.GetSubmission"
LATE = 10_000


class Last(list):
    """A list of submissions where the newest stands on the last page."""

    def insert(self, _, entry):
        self.append(entry)


def stages(kaggle):
    return [json.loads(line)["stage"] for line in kaggle.log.read_text().splitlines()]


def sent(kaggle):
    return kaggle.faults.count(SEND), len(kaggle.competition.submissions)


def test_a_script_is_pushed_submitted_and_scored_and_the_next_command_sends_nothing(kaggle, kit_of_two):
    there = kaggle()
    done = there.submit("--message", "two nets", "--hidden-images", "3")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["stage"], told["public_score"]) == ("scored", "0.91234")
    assert stages(there) == ["asked", "submitted", "scored"]
    [entry] = there.competition.submissions
    assert entry.description == f"{told['id']} two nets"
    assert told["members"] == ["member0", "member1"]
    assert told["predicted_seconds"][0] <= told["predicted_seconds"][1]
    for words in ("[     9.9 s] done", "2 of 2 rungs done", "hidden time:", "public score 0.91234"):
        assert words in done.err
    [version] = there.world.notebooks["alice/kit-kidney"].versions
    assert version.request["text"] == kit_of_two.script.read_text()
    assert version.request["datasetDataSources"] == [f"alice/{kit_of_two.weights.name}"]
    again = there.submit()
    assert (again.code, json.loads(again.out)["id"]) == (0, told["id"])
    assert (there.faults.count(SAVE), sent(there)) == (1, (1, 1))


def test_a_lost_answer_uses_one_slot(kaggle):
    there = kaggle(Fault("drop_after", SEND))
    done = there.submit()
    assert done.code == 0, done.err
    assert sent(there) == (1, 1)


def test_an_empty_answer_about_a_submission_is_asked_for_again(kaggle):
    there = kaggle(Fault("empty_200", GET, times=2))
    done = there.submit()
    assert (done.code, sent(there)) == (0, (1, 1)), done.err
    assert there.faults.count(GET) > 2


def test_empty_answers_alone_never_end_as_a_score(kaggle):
    there = kaggle(Fault("empty_200", GET, times=LATE))
    done = there.submit()
    assert (done.code, done.out, sent(there)) == (BAD_INPUT, "", (1, 1))
    assert GET in done.err
    there.faults.faults.clear()
    assert there.submit().code == 0
    assert sent(there) == (1, 1)


def test_what_is_not_known_is_not_sent_again_until_the_user_has_looked(kaggle):
    there = kaggle(Fault("drop_after", SEND), Fault("late_submission", "", argument=LATE))
    first, second = there.submit(), there.submit()
    for done in (first, second):
        assert done.code == BAD_INPUT
        assert "--again" in done.err
        assert "competitions/hubmap-kidney-segmentation/submissions" in done.err
    assert stages(there) == ["asked"]
    there.competition.submissions[0].unlisted = 0  # Kaggle shows it now
    assert there.submit().code == 0
    assert sent(there) == (1, 1)


def test_what_the_user_did_not_find_is_sent_with_again(kaggle):
    there = kaggle(Fault("drop_before", SEND))
    assert there.submit().code == BAD_INPUT
    done = there.submit("--again")
    assert done.code == 0, done.err
    assert sent(there) == (2, 1)
    assert [entry.stage for entry in Log(there.log).entries()] == ["failed", "scored"]


@pytest.mark.parametrize("kind", ["hang", "late answer"])
def test_a_kill_in_the_middle_of_the_call_sends_nothing_twice(kaggle, kind):
    waited_for = SEND if kind == "hang" else "competitions.GetSubmission"
    there = kaggle(Fault("hang", waited_for))
    process = there.start()
    assert there.faults.wait_for(waited_for)
    process.kill()
    process.wait()
    done = there.submit()
    if kind == "hang":
        assert (done.code, stages(there)) == (BAD_INPUT, ["asked"])
        done = there.submit("--again")
    assert done.code == 0, done.err
    assert len(there.competition.submissions) == 1


def test_a_look_that_the_limit_cuts_off_says_nothing_about_the_submission(kaggle, tmp_path):
    there = kaggle()
    assert there.submit().code == 0
    log = Log(there.log)
    [entry] = log.entries()
    with (
        Wire(scratch=tmp_path / "scratch", patience=Patience(limit=0)) as wire,
        pytest.raises(KitError, match=r"has no score after \d+ s; its status is not known"),
    ):
        competition.wait_for_score(wire, log, entry, limit_s=300, say=print)
    assert log.entries() == [entry]


@pytest.mark.parametrize("score", ["NaN", "Infinity", "pending"])
def test_what_is_no_finite_number_is_no_score(kaggle, score):
    there = kaggle()
    there.competition.score = score
    done = there.submit()
    assert (done.code, done.out) == (BAD_INPUT, "")
    assert "it has no score" in done.err
    assert stages(there)[-1] == "failed"


def test_a_server_that_writes_the_same_in_other_forms_gives_the_same_score(kaggle):
    there = kaggle(Fault("drop_after", SEND))
    there.world.other_form = True
    done = there.submit()
    assert (done.code, sent(there)) == (0, (1, 1)), done.err
    assert json.loads(done.out)["public_score"] == "0.91234"


def test_the_log_is_brought_up_to_date_and_shown(kaggle):
    there = kaggle(Fault("complete_without_score", "", argument="Kaggle Error"))
    assert there.submit().code == BAD_INPUT
    there.faults.faults.clear()
    there.world.notebooks.clear()
    (there.state / "alice.kit-kidney.kernel.json").unlink()
    assert there.submit("--message", "second").code == 0
    there.competition.private_score = "0.8888"
    argv = ["submissions", "--log", str(there.log)]
    done = there.submit(argv=argv)
    first, second = map(json.loads, done.out.splitlines())
    assert (first["stage"], second["private_score"]) == ("failed", "0.8888")
    there.competition.private_score = "0.1"
    assert there.submit(argv=[*argv, "--offline"]).out == done.out


def test_a_dry_run_sends_nothing(kaggle):
    there = kaggle()
    done = there.submit("--dry-run")
    assert (done.code, "would push alice/kit-kidney" in done.err) == (0, True)
    assert there.faults.count(SAVE) == 0


def test_the_commit_run_alone_uses_no_slot(kaggle):
    there = kaggle()
    done = there.submit("--commit-only")
    assert (done.code, json.loads(done.out)["version"], sent(there)) == (0, 1, (0, 0))
    assert "without --commit-only" in done.err
    none = there.submit(argv=["submissions", "--log", str(there.log)])
    assert (none.code, none.out) == (0, "")
    assert f"no submission stands in {there.log}" in none.err
    assert there.submit().code == 0
    assert there.faults.count(SAVE) == 1


def test_one_process_at_a_time_sends(kaggle):
    there = kaggle()
    with held_elsewhere(Log(there.log).lock):
        done = there.submit()
    assert done.code == BAD_INPUT
    assert "another process submits with this log: process " in done.err
    assert sent(there) == (0, 0)


def test_all_pages_of_the_list_are_read(kaggle):
    there = kaggle(Fault("drop_after", SEND))
    others = [Entry(number, f"other {number}", "", 1, "", looks=0) for number in range(45)]
    there.competition.submissions = Last(others)
    assert there.submit().code == 0
    assert there.faults.count(SEND) == 1
