"""The plan: its order, and that an identity changes exactly with what the job depends on."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.errors import KitError
from train_local.jobs.graph import choose, plan
from train_local.jobs.job import CompetitionData, Form, Setting


def recipe(name, *, stage=None, labels=(), folds=(0,), lr=1.0, checkpoint="best"):
    sets = [{"labels": round_of} for round_of in labels] or [{"labels": None}]
    return {
        "name": name,
        "lr": lr,
        "folds": list(folds),
        "views": ["identity"],
        "earlier_stage": stage,
        "earlier_checkpoint": checkpoint,
        "hand_over": "best",
        "data": {"sets": sets},
    }


def round_of(*teachers, name="exp2", threshold=0.6):
    return {"name": name, "threshold": threshold, "dataset": 3, "wsis": None, "teachers": list(teachers)}


def source(modules):
    return "+".join(sorted(modules))


SETTING = Setting(launcher=("train",), options=("--out", "runs"), source=source)


def data(name="vasculature", **changes):
    made = CompetitionData(
        competition=name,
        folder=Path("work", name),
        runs=Path("runs", name),
        ensemble=Path("dist", name, "ensemble.json"),
        identity="data",
        folds=5,
    )
    return replace(made, **changes)


def planned(*forms, of=None, setting=SETTING):
    of = of or data()
    return plan(
        [of], {of.competition: [f if isinstance(f, Form) else Form(config=f) for f in forms]}, setting
    )


def published():
    """The shape of the vasculature's published graph."""
    teacher_stage = recipe("teacher-stage1")
    teacher = Form(config=recipe("teacher", stage=teacher_stage), member=False)
    x101 = recipe("x101", stage=recipe("x101-stage1"))
    labels = round_of("x101", "teacher")
    student = recipe(
        "student", stage=recipe("student-stage1", labels=[labels]), checkpoint="last", folds=(1,)
    )
    return x101, student, teacher


def test_every_job_stands_behind_what_it_needs_and_names_what_it_takes():
    jobs = planned(*published())
    assert list(jobs) == [
        "vasculature/x101-stage1.fold0",
        "vasculature/x101.fold0",
        "vasculature/x101.fold0.dataset3",
        "vasculature/teacher-stage1.fold0",
        "vasculature/teacher.fold0",
        "vasculature/teacher.fold0.dataset3",
        "vasculature/labels/exp2@0.6",
        "vasculature/student-stage1.fold0",
        "vasculature/student.fold1",
        "vasculature/ensemble",
    ]
    taken = {
        name: [(need.job.partition("/")[2], need.takes) for need in job.uses] for name, job in jobs.items()
    }
    assert taken["vasculature/student.fold1"] == [("student-stage1.fold0", "last")]
    assert taken["vasculature/student-stage1.fold0"] == [("labels/exp2@0.6", "labels")]
    assert taken["vasculature/labels/exp2@0.6"] == [
        ("x101.fold0.dataset3", "predictions"),
        ("teacher.fold0.dataset3", "predictions"),
    ]
    assert taken["vasculature/ensemble"] == [("x101.fold0", "out of fold"), ("student.fold1", "out of fold")]
    assert jobs["vasculature/student.fold1"].folder == Path("runs/vasculature/student/fold1")
    assert jobs["vasculature/student.fold1"].command == (
        "train",
        "job",
        "vasculature/student.fold1",
        "--out",
        "runs",
    )


def test_a_preparation_comes_first_and_changes_no_identity_behind_it():
    by_hand = planned(*published())
    as_job = planned(*published(), of=data(prepare=("vasculature",), prepare_identity="files"))
    assert next(iter(as_job)) == "vasculature/prepare"
    assert all("vasculature/prepare" in job.needs for name, job in as_job.items() if job.kind != "prepare")
    assert {name: job.identity for name, job in as_job.items() if job.kind != "prepare"} == {
        name: job.identity for name, job in by_hand.items()
    }


def test_folds_that_were_not_prepared_are_left_out():
    jobs = planned(recipe("unet", folds=(0, 1, 2, 3)), of=data(folds=2))
    assert list(jobs) == ["vasculature/unet.fold0", "vasculature/unet.fold1", "vasculature/ensemble"]
    unknown = planned(recipe("unet", folds=(0, 1, 2, 3)), of=data(folds=None))
    assert len(unknown) == 5, "before the preparation the recipe's own folds are planned"


def test_a_pattern_chooses_jobs_and_what_they_need():
    jobs = planned(*published())
    assert list(choose(jobs, "x101")) == ["vasculature/x101-stage1.fold0", "vasculature/x101.fold0"]
    assert list(choose(jobs, "labels/*"))[-1] == "vasculature/labels/exp2@0.6"
    assert choose(jobs, "labels/*", "x101") == choose(jobs, "labels/*") | choose(jobs, "x101")
    assert "vasculature/student.fold1" not in choose(jobs, "labels/*")
    assert choose(jobs, "vasculature/*") == choose(jobs) == jobs
    assert list(choose(planned(recipe("unet-tiny")), "unet")) == ["vasculature/unet-tiny.fold0"]
    with pytest.raises(KitError, match="no job matches 'unet'") as error:
        choose(jobs, "x101", "unet")
    assert "vasculature/x101.fold0" in str(error.value)
    with pytest.raises(KitError, match="no job matches ''"):
        choose(jobs, "")  # --only "$RECIPE" with an empty variable is not everything


def test_rounds_that_need_themselves_and_unknown_teachers_are_refused():
    with pytest.raises(KitError, match=r"needs itself: own\.fold0 <- labels/exp2@0\.6 <- own\.fold0"):
        planned(recipe("own", labels=[round_of("own")]))
    with pytest.raises(KitError, match="is made by nobody, which is no recipe of vasculature"):
        planned(recipe("student", labels=[round_of("nobody")]))
    tiny = [recipe("student-tiny", labels=[round_of("teacher")]), recipe("teacher-tiny")]
    assert "vasculature/teacher-tiny.fold0.dataset3" in planned(*tiny)


def test_two_recipes_that_share_a_name_but_not_a_config_are_refused():
    first = recipe("a", stage=recipe("stage1"))
    with pytest.raises(KitError, match=r"two different jobs are both called vasculature/stage1\.fold0"):
        planned(first, recipe("b", stage=recipe("stage1", lr=2.0)))


# --- random graphs --------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    """Recipes r0, r1, ...; each may start from an earlier one's config and use labels of earlier ones."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        earlier = draw(st.sampled_from([None, *made])) if made else None
        teachers = draw(st.lists(st.sampled_from([one["name"] for one in made]), unique=True)) if made else []
        labels = [round_of(*teachers, name=f"round{number}")] if teachers else []
        folds = draw(st.sampled_from([(0,), (1,), (0, 1)]))
        made.append(recipe(f"r{number}", stage=earlier, labels=labels, folds=folds, lr=1.0))
    return made


def behind(jobs, names):
    """The named jobs and all that need them."""
    found = set(names)
    for name, job in jobs.items():
        if found.intersection(job.needs):
            found.add(name)
    return found


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_order_respects_every_need(recipes):
    jobs = planned(*recipes)
    seen = set()
    for name, job in jobs.items():
        assert seen.issuperset(job.needs)
        seen.add(name)
    assert len({job.identity for job in jobs.values()}) == len(jobs)
    assert len({job.folder for job in jobs.values()}) == len(jobs)


def changed_names(before, after):
    return {name for name in before if before[name].identity != after[name].identity}


def test_another_metric_trains_again_and_another_size_of_the_hidden_set_builds_the_ensemble_again():
    definition = {"hidden_images": 5, "metric": {"name": "mean Dice"}}
    before = planned(recipe("first"), of=data(definition=definition))
    larger = planned(recipe("first"), of=data(definition={**definition, "hidden_images": 6}))
    assert changed_names(before, larger) == {"vasculature/ensemble"}
    other = planned(recipe("first"), of=data(definition={**definition, "metric": {"name": "F-beta"}}))
    assert changed_names(before, other) == set(before)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data())
def test_another_config_changes_the_job_and_all_that_need_it_and_no_other(recipes, draw):
    before = planned(*recipes)
    name = draw.draw(st.sampled_from([one["name"] for one in recipes]))

    def changed(one):
        if one is None:
            return None
        return {
            **one,
            "lr": 2.0 if one["name"] == name else one["lr"],
            "earlier_stage": changed(one["earlier_stage"]),
        }

    after = planned(*map(changed, recipes))
    own = {job for job in before if job.removeprefix("vasculature/").startswith(f"{name}.fold")}
    assert changed_names(before, after) == behind(before, own)


@settings(max_examples=30, deadline=None)
@given(graphs(), st.data())
def test_another_source_changes_the_jobs_that_run_it_and_all_that_need_them(recipes, draw):
    kind = draw.draw(
        st.sampled_from(["train_local.engine.train", "train_local.jobs.label", "train_local.ensemble.build"])
    )
    edited = replace(SETTING, source=lambda modules: source(modules) + "edited" * (kind in modules))
    before, after = planned(*recipes), planned(*recipes, setting=edited)
    runs = {
        "train_local.engine.train": "train",
        "train_local.jobs.label": "label",
        "train_local.ensemble.build": "ensemble",
    }
    own = {name for name, job in before.items() if job.kind == runs[kind]}
    assert changed_names(before, after) == behind(before, own)


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_other_data_changes_all_and_other_folders_none(recipes):
    before = planned(*recipes)
    assert changed_names(before, planned(*recipes, of=data(identity="other"))) == set(before)
    moved = data(folder=Path("else"), runs=Path("where"), ensemble=Path("e.json"))
    elsewhere = replace(SETTING, launcher=("python", "-m"), options=())
    assert changed_names(before, planned(*recipes, of=moved, setting=elsewhere)) == set()
