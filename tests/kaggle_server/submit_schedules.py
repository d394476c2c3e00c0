"""`submission submit` under a schedule of faults: what it may meet, and whether what it says is true."""

import json
import re

from tests.kaggle_server import commands
from tests.kaggle_server.faults import Faults
from tests.kaggle_server.server import Server
from tests.kaggle_server.submitting import SLUG, place
from tests.kaggle_server.world import World

ID = "alice/kit-kidney"
STREAMS = ("files.GET", "kernels/logs/stream/")
MORE = {}
LIMITS = ("--patience", "0.6", "--poll", "0.1", "--answer", "15", "--stall", "4", "--limit", "90")


def calls(_case):
    """The calls that a fault or a kill may strike; those that write stand twice, as most depends on them."""
    writes = ("kernels.SaveKernel", "competitions.CreateCodeSubmission")
    return (
        "datasets.ListDatasets", "datasets.DownloadDataset", "datasets.GetDatasetStatus", "kernels.GetKernel",
        "kernels.GetKernelSessionStatus", "kernels.ListKernelSessionOutput", "kernels.DownloadKernelOutput",
        "competitions.ListSubmissions", "competitions.GetSubmissionLimits", "competitions.GetSubmission",
        *writes, *writes,
    )  # fmt: skip


def surroundings(draw):
    """Draw the machine that is asked for; the world is always the same."""
    return {}, {"accelerator": draw.choice(["cpu", "NvidiaTeslaT4"])}


def of_the_world(_case, settings):
    """Kind of a fault that changes the world -> arguments that it may have."""
    sources = ("datasetDataSources", "competitionDataSources")
    gpu = {"session_count_200": [None], "quota": [None], "machine_swap": ["NvidiaTeslaP100"]}
    return {
        "invalid_sources": [*sources, *((name, "silent") for name in sources)],
        "slug_other": [None],
        "public_flip": [None],
        "other_source": [None],
        "lost_output": ["submission.csv", "report.json"],
        "run_error": ["Notebook Timeout"],
        "stale_kernel": range(1, 9),
        "kernel_hidden": range(1, 9),
        "complete_without_score": ["", "Kaggle Error"],
        "submission_error": ["Submission Scoring Error"],
        "late_submission": [1, 2, 9, 999],
        "no_slots": [None],
        **(gpu if settings["accelerator"] != "cpu" else {}),
    }


def run(plan, folder, made):
    """Run a schedule of the case "submit"; see `schedules.run`."""
    state, log = folder / "dist" / "kaggle", folder / "dist" / "submissions.jsonl"
    with Server(World(faults=Faults(*plan.faults), **plan.world)) as server:
        place(server.world, made, state, plan.settings["accelerator"])
        competition = server.world.rooms["competitions"][SLUG]
        competition.daily = 50
        ends, wrong, looked = [], [], False

        def submit(kill=None):
            more = ["--again"] if looked else []
            more += ["--accelerator", plan.settings["accelerator"], *LIMITS]
            command = ("submission", "submit", "--predict", made.script, "--state", state, *more)
            ends.append(commands.run(server, folder, command, kill=kill, way=plan.way))
            wrong.extend(_untrue(server.world, made, ends[-1], _entries(log)))
            states = "".join(
                path.read_text() for path in [*state.glob("*.json"), *log.parent.glob("*.jsonl")]
            )
            wrong.extend(commands.wrong_with(server, ends[-1], states))
            return ends[-1].code

        for kill in [*plan.kills, None]:
            submit(kill)
        # Now nothing fails any more. A person looks at the page when told to, and corrects what only a
        # person may; then one of the next runs ends with a score.
        server.world.faults.end()
        for _ in range(4):
            _correct(server.world)
            asked = re.findall(r"kit-[0-9a-f]{12}", ends[-1].err if "--again" in ends[-1].err else "")
            looked = bool(asked) and not any(
                asked[-1] in item.description for item in competition.submissions
            )
            if submit() == 0:
                break
        else:
            wrong.append(f"four clean runs after it ended with {ends[-1].code}: {ends[-1].err[-400:]}")
        lost = [entry for entry in _entries(log).values() if entry["stage"] == "failed" and entry.get("ref")]
        if len(competition.submissions) != len(lost) + 1:
            wrong.append(f"{len(competition.submissions)} submissions were made, {len(lost)} of them failed")
    return ends, wrong


def _correct(world):
    """Do what a person does on Kaggle's pages: end old runs, make private, wait until lists are complete."""
    for notebook in world.notebooks.values():
        notebook.private, notebook.hidden, notebook.stale = True, 0, 0
        for version in notebook.versions:
            version.looks = 0
    for competition in world.rooms["competitions"].values():
        for entry in competition.submissions:
            entry.unlisted = 0


def _entries(log):
    """The last state of each submission in the log, by its id."""
    lines = log.read_text().splitlines() if log.exists() else []
    return {entry["id"]: entry for entry in map(json.loads, lines)}


def _untrue(world, made, ended, entries):
    """What is wrong with an end: a score that is none, a submission that was sent twice."""
    wrong = []
    submissions = world.rooms["competitions"][SLUG].submissions
    counts = {name: sum(name in item.description for item in submissions) for name in entries}
    wrong += [f"{name} was sent {count} times" for name, count in counts.items() if count > 1]
    scored = [entry for entry in entries.values() if entry["stage"] == "scored"]
    told = json.loads(ended.out.splitlines()[-1]) if ended.code == 0 and ended.out else None
    if ended.code == 0 and (told is None or told["stage"] != "scored"):
        wrong.append("exit 0 without a score")
    if ended.code == 2 and '"scored"' in ended.out:
        wrong.append("it said scored and failed")
    for entry in [*scored, *([told] if told else [])]:
        wrong += [f"{entry['id']} is called scored: {lie}" for lie in _lies(world, made, entry, submissions)]
    return wrong


def _lies(world, made, entry, submissions):
    """What is not so of a submission that is called scored."""
    unscored = world.faults.of("complete_without_score") + world.faults.of("submission_error")
    if unscored or entry["public_score"] != world.rooms["competitions"][SLUG].score:
        yield "Kaggle has given it no such score"
    found = [item for item in submissions if entry["id"] in item.description and item.ref == entry.get("ref")]
    if not found:
        yield "Kaggle does not have it"
        return
    notebook = world.notebooks[found[0].kernel]
    version = notebook.versions[found[0].version - 1]
    if version.request["text"] != made.script.read_text() or version.status != "COMPLETE":
        yield "another source, or a run that did not end"
    attached = version.request["datasetDataSources"], version.request["competitionDataSources"]
    if attached != ([made.dataset], [SLUG]):
        yield f"the run had {attached}"
    if not notebook.private or version.request.get("enableInternet"):
        yield "public, or with the internet"
