"""Competitions: code submissions, their list, their scores, and how each of them lies.

`world.rooms["competitions"]` is a dict, name -> Competition. Faults that change the world, by `kind`:
`complete_without_score`, `submission_error` (argument: Kaggle's words), `late_submission` (argument: so many
lists don't show it yet), `no_slots`.
"""

from dataclasses import dataclass, field

from tests.kaggle_server.calls import call
from tests.kaggle_server.kernels import _notebook, _version
from tests.kaggle_server.world import Problem

PAGE = 20


@dataclass
class Entry:
    ref: int
    description: str
    kernel: str
    version: int
    file: str
    looks: int = 3  # not shown (404), PENDING, PENDING, then the end
    unlisted: int = 0


@dataclass
class Competition:
    daily: int = 5
    total: int = 0
    score: str = "0.91234"
    private_score: str = ""
    submissions: list = field(default_factory=list)  # the newest first


def _competition(world, name):
    found = world.rooms.get("competitions", {}).get(name)
    if found is None:
        raise Problem(403, "You must accept the rules of this competition")
    return found


@call(
    "competitions.CreateCodeSubmission",
    "competitionName",
    "kernelOwner",
    "kernelSlug",
    "kernelVersion",
    "fileName",
    optional=("submissionDescription",),
)
def create(world, request):
    found = _competition(world, request["competitionName"])
    version = _version(
        _notebook(world, request["kernelOwner"], request["kernelSlug"]), f"v{request['kernelVersion']}"
    )
    if version.status != "COMPLETE":
        raise Problem(400, "the notebook version has not finished")
    if version.request.get("enableInternet"):
        raise Problem(400, "Your Notebook cannot use internet access in this competition")
    if request["fileName"] not in version.run.files:
        raise Problem(400, f"the output file {request['fileName']} was not found")
    if found.daily <= 0 or world.faults.of("no_slots"):
        raise Problem(400, "You have used your daily submission allowance")
    late = max((fault.argument for fault in world.faults.of("late_submission")), default=0)
    entry = Entry(
        next(world.numbers) + 50_000_000,
        request.get("submissionDescription", ""),
        f"{request['kernelOwner']}/{request['kernelSlug']}",
        version.number,
        request["fileName"],
        unlisted=late,
    )
    found.daily, found.total = found.daily - 1, found.total + 1
    found.submissions.insert(0, entry)
    return {"message": "Successfully submitted", "ref": entry.ref}


@call("competitions.GetSubmission", "ref")
def get(world, request):
    for found in world.rooms.get("competitions", {}).values():
        for entry in found.submissions:
            if entry.ref == request["ref"]:
                if entry.looks == 3:
                    entry.looks -= 1
                    raise Problem(404, "no such submission")
                entry.looks -= 1
                return _shown(world, found, entry)
    raise Problem(404, "no such submission")


@call(
    "competitions.ListSubmissions",
    "competitionName",
    optional=("sortBy", "group", "page", "pageToken", "pageSize"),
)
def list_all(world, request):
    found = _competition(world, request["competitionName"])
    shown = [entry for entry in found.submissions if entry.unlisted <= 0]
    for entry in found.submissions:
        entry.unlisted -= 1
    size, start = min(int(request.get("pageSize") or PAGE), PAGE), int(request.get("pageToken") or 0)
    value = {"submissions": [_shown(world, found, entry) for entry in shown[start : start + size]]}
    if start + size < len(shown):
        value["nextPageToken"] = str(start + size)
    return value


@call("competitions.GetSubmissionLimits", "competitionName")
def limits(world, request):
    found = _competition(world, request["competitionName"])
    today = found.total
    return {"numToday": today, "numTotal": found.total, "numAllowedNow": found.daily, "limitedByTotal": False}


def _shown(world, found, entry):
    value = {
        "ref": entry.ref,
        "description": entry.description,
        "fileName": entry.file,
        "status": "PENDING",
        "date": "2026-11-29T05:00:00.000Z",
        "teamName": world.name,
    }
    if entry.looks > 0:
        return value
    for fault in world.faults.of("submission_error"):
        return {**value, "status": "ERROR", "errorDescription": fault.argument}
    for fault in world.faults.of("complete_without_score"):
        return {**value, "status": "COMPLETE", "errorDescription": fault.argument}
    scores = {"publicScore": found.score}
    if found.private_score:
        scores["privateScore"] = found.private_score
    return {**value, "status": "COMPLETE", **scores}
