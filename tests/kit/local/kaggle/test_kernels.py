"""Kernels through the official client: pushed once, read back, waited for and fetched by their version."""

import re
from dataclasses import replace

import pytest

from kit.errors import KitError
from kit.local.kaggle import kernel_state
from kit.local.kaggle.kernel_metadata import Kernel
from kit.local.kaggle.kernel_runs import output, wait
from kit.local.kaggle.kernels import push
from tests.kaggle_server.faults import Fault
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.world import Dataset, Version
from tests.lock_holder import held_elsewhere

SAVE, READ, NAME = "kernels.SaveKernel", "kernels.GetKernel", "alice/kit-kidney"
FILES = {"submission.csv": b"id,predicted\n", "report.json": b"{}", "folder/more.txt": b"more"}


@pytest.fixture
def kernel(tmp_path):
    source = tmp_path / "predict.py"
    source.write_text("print(1)\n")
    return Kernel(
        owner="alice", title="Kit kidney", source=source, kind="script",
        datasets=("alice/weights",), competitions=("cells",), accelerator="NvidiaTeslaT4",
    )  # fmt: skip


@pytest.fixture
def state(kernel):
    return kernel_state.state_file(kernel.source.parent / "state", NAME)


@pytest.fixture
def wire(loopback):
    """The wire, with pauses that are short and limits that are not reached."""
    # A file that comes damaged each time is fetched again for a second.
    return loopback.patient(settle=300, pending=300, rpc=600, outage=1)


def soon(wire):
    """The wire, where an answer that doesn't come is waited for only shortly."""
    wire.patience = replace(wire.patience, settle=0.2)
    return wire


def limited(wire):
    """The wire, whose limit for everything is reached."""
    wire.patience = replace(wire.patience, limit=0)
    return wire


@pytest.fixture
def world(loopback):
    """Make a new world where the kernel's sources are there, and whose runs write `FILES`."""

    def start(*faults):
        world = loopback.start(*faults).world
        weights = Dataset("alice", "weights", "weights", private=True, licence="other")
        weights.versions.append(Version(1, "first", {"a": b"1"}))
        world.datasets["alice/weights"] = weights
        world.rooms["competitions"] = {"cells": None}
        world.rooms["attachable_models"] = {"alice/unet/pytorch/base/1"}
        world.rooms["run"] = lambda *_: Run(dict(FILES), ["one", "two"])
        return world

    return start


def test_a_kernel_is_pushed_read_back_awaited_and_fetched(world, wire, kernel, state):
    there, said = world(), []
    pushed = push(wire, kernel, state, fingerprints={"alice/weights": "f" * 64})
    assert (pushed.id, pushed.version, pushed.machine_got) == (NAME, 1, "NvidiaTeslaT4")
    assert wait(wire, pushed, said.append).status == "COMPLETE"
    assert said == ["one", "two"], "each line once, although the stream is read again at the end"
    files = output(wire, pushed, state.parent / "out")
    assert {str(path.relative_to(state.parent / "out")): path.read_bytes() for path in files} == FILES
    known = kernel_state.read(state)
    assert (known.stage, known.version, known.sources["alice/weights"]) == ("complete", 1, "f" * 64)
    [version] = there.notebooks[NAME].versions
    assert version.request["enableInternet"] is False
    assert there.notebooks[NAME].private


def test_the_same_kernel_is_not_pushed_again_and_a_changed_one_is(world, wire, kernel, state):
    there = world()
    assert push(wire, kernel, state).version == push(wire, kernel, state).version == 1
    kernel.source.write_text("print(2)\n")
    changed = push(wire, kernel, state)
    assert changed.version == 2
    wait(wire, changed)
    assert push(wire, kernel, state, reuse_finished=False).version == 3
    assert there.faults.count(SAVE) == 3


@pytest.mark.parametrize("again", [False, True], ids=["in the same call", "by the next one"])
def test_a_lost_answer_is_looked_for_and_never_sent_again(world, wire, kernel, state, again):
    faults = [Fault("drop_after", SAVE)]
    if again:
        faults.append(Fault("kernel_hidden", "", argument=10_000))
    there = world(*faults)
    if again:
        with pytest.raises(KitError, match="not known whether Kaggle took"):
            push(soon(wire), kernel, state)
        assert kernel_state.read(state).stage == "pushing"
        there.notebooks[NAME].hidden = 0
    assert push(wire, kernel, state).version == 1
    assert there.faults.count(SAVE) == 1


def test_a_version_of_somebody_else_is_not_taken_for_ours(world, wire, kernel, state):
    world(Fault("other_source", ""), Fault("drop_after", SAVE))
    with pytest.raises(KitError, match="not known whether Kaggle took"):
        push(soon(wire), kernel, state)


@pytest.mark.parametrize("expected", [(2, "not private"), (10_000, r"kernels\.GetKernel")])
def test_an_empty_answer_is_no_reading_back_of_a_kernel(world, wire, kernel, state, expected):
    times, words = expected
    # The first look is before the push. Without the rest nobody knows what Kaggle made of it.
    there = world(Fault("public_flip", ""), Fault("empty_200", READ, nth=2, times=times))
    if times == 2:
        wire.patience = replace(wire.patience, outage=300)
    with pytest.raises(KitError, match=words):
        push(soon(wire), kernel, state)
    assert there.faults.count(SAVE) == 1


def test_stale_answers_after_a_push_are_waited_out(world, wire, kernel, state):
    world(Fault("stale_kernel", "", argument=2))
    push(wire, kernel, state)
    kernel.source.write_text("print(2)\n")
    assert push(wire, kernel, state).version == 2


@pytest.mark.parametrize(
    "expected",
    [
        (Fault("invalid_sources", "", argument="datasetDataSources"), "without dataset alice/weights"),
        (Fault("invalid_sources", "", argument="competitionDataSources"), "without competition cells"),
        (Fault("invalid_sources", "", argument="modelDataSources"), "without model alice/unet"),
        (Fault("invalid_sources", "", argument=("datasetDataSources", "silent")), "weights is not attached"),
        (
            Fault("machine_swap", "", argument="NvidiaTeslaP100"),
            "got NvidiaTeslaP100 instead of NvidiaTeslaT4",
        ),
        (Fault("slug_other", ""), "made the kernel alice/kit-kidney-1"),
        (Fault("public_flip", ""), "not private"),
        (Fault("other_source", ""), "its source is another one"),
        (Fault("session_count_200", ""), r"Maximum batch GPU session count[^$]*stop one on Kaggle"),
        (Fault("quota", ""), "weekly GPU quota"),
        (
            Fault("status", SAVE, argument=(400, None, "Phone verification needed")),
            "verify your phone number",
        ),
        (Fault("empty_200", SAVE), "not known whether Kaggle took"),
    ],
    ids=lambda value: f"{value[0].kind} {value[0].argument or ''}",
)
def test_what_the_client_calls_a_success_is_an_error(world, wire, kernel, state, expected):
    fault, words = expected
    world(fault)
    with pytest.raises(KitError) as caught:
        push(soon(wire), replace(kernel, models=("alice/unet/pytorch/base/1",)), state)
    assert re.search(words, str(caught.value)), caught.value
    assert "fix:" in str(caught.value)


@pytest.mark.parametrize(
    "expected",
    [
        (lambda world: world.datasets.clear(), "not there"),
        (lambda world: setattr(world.datasets["alice/weights"].versions[0], "polls", 9), "NOT_YET_PERSISTED"),
        (lambda world: world.datasets.update({NAME: world.datasets["alice/weights"]}), "a dataset of yours"),
        (lambda world: world.rooms.update(gpu_hours=30), "30.0 of this week's 30.0 hours"),
    ],
)
def test_what_is_certain_to_go_wrong_is_refused_before_the_push(world, wire, kernel, state, expected):
    change, words = expected
    there = world()
    change(there)
    with pytest.raises(KitError, match=words):
        push(wire, kernel, state)
    assert there.faults.count(SAVE) == 0


def test_a_failed_run_shows_kaggles_words_and_the_end_of_the_log(world, wire, kernel, state):
    world(Fault("run_error", "", argument="Notebook Threw Exception"))
    pushed = push(wire, kernel, state)
    with pytest.raises(KitError, match=r"Notebook Threw Exception[\s\S]*KeyError: 'x'"):
        wait(wire, pushed)
    assert kernel_state.read(state).stage == "failed"


def test_a_cancelled_run_has_ended_however_the_server_spells_it(world, wire, kernel, state):
    there = world()
    there.other_form = True
    there.rooms["run"] = lambda *_: Run({}, [], "CANCEL_ACKNOWLEDGED")
    with pytest.raises(KitError, match="was cancelled"):
        wait(wire, push(wire, kernel, state), limit_s=100)


def test_an_image_is_known_by_its_digest_whatever_its_name(world, wire, kernel, state):
    image = f"gcr.io/kaggle-gpu-images/python@sha256:{'0a' * 32}"
    world(Fault("image_by_other_name", ""))
    assert push(wire, replace(kernel, image=image), state).version == 1


def test_a_run_that_is_not_at_its_end_is_told_and_waited_for_again(world, wire, kernel, state):
    there = world()
    pushed = push(wire, kernel, state)
    there.notebooks[NAME].versions[0].looks = 10_000
    with pytest.raises(KitError, match="not at its end after"):
        wait(wire, pushed, limit_s=0.1)
    there.notebooks[NAME].versions[0].looks = 0
    assert wait(wire, push(wire, kernel, state)).status == "COMPLETE"
    assert there.faults.count(SAVE) == 1


def test_a_look_that_the_limit_cuts_off_says_nothing_about_the_run(world, wire, kernel, state):
    there = world()
    pushed = push(wire, kernel, state)
    there.notebooks[NAME].versions[0].looks = 10_000
    with pytest.raises(KitError, match=r"not at its end after \d+ s; its last status was not seen yet"):
        wait(limited(wire), pushed)
    assert kernel_state.read(state).stage != "failed"


def test_old_output_is_never_taken(world, wire, kernel, state):
    there = world()
    old = push(wire, kernel, state)
    there.rooms["run"] = lambda *_: Run({"submission.csv": b"new"}, [])
    kernel.source.write_text("print(2)\n")
    new = push(wire, kernel, state)
    out = state.parent / "out"
    assert len(output(wire, old, out)) == len(FILES)
    assert [path.read_bytes() for path in output(wire, new, out)] == [b"new"]


@pytest.mark.parametrize("kind", ["truncate", "flip_byte"])
def test_a_damaged_file_leaves_the_folder_as_it_was(world, wire, kernel, state, kind):
    world(Fault(kind, "files.GET", times=10_000))
    pushed = push(wire, kernel, state)
    with pytest.raises(KitError):
        output(soon(wire), pushed, state.parent / "out")
    assert not (state.parent / "out").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", ""])
def test_names_of_the_output_stay_in_the_folder(world, wire, kernel, state, name):
    there = world()
    there.rooms["run"] = lambda *_: Run({name: b"x"}, [])
    pushed = push(wire, kernel, state)
    with pytest.raises(KitError, match="points elsewhere"):
        output(wire, pushed, state.parent / "out")


def test_one_process_at_a_time_works_on_a_kernel(world, wire, kernel, state):
    world()
    with held_elsewhere(kernel_state.lock_of(state)), pytest.raises(KitError, match="another process works"):
        push(wire, kernel, state)
