"""How far a job is, as its folder tells."""

from __future__ import annotations

from typing import Any, Literal

from kit.artefacts import write_json
from train_local.claims import CLAIMED, DONE, record
from train_local.jobs.job import Job

State = Literal["done", "stopped early", "begun", "to do"]


def state_of(job: Job) -> State:
    """Return how far a job is.

    Returns:
        "done": `done.json` has its identity, and all it made is there. "stopped early": the same, but its
        time was up before its end. "begun": it can be gone on with. "to do": its folder is empty or holds a
        job of another identity, which will be kept aside.
    """
    done = record(job.folder, job.identity, DONE)
    if done is not None and all(path.is_file() for path in job.products):
        return "done" if done.get("complete", True) else "stopped early"
    return "begun" if done is not None or record(job.folder, job.identity, CLAIMED) is not None else "to do"


def finish(job: Job, **more: Any) -> None:
    """Write the `done.json` of a job whose results are all in place.

    Raises:
        KitError: the folder cannot be written.
    """
    write_json(job.folder / DONE, {"identity": job.identity, "complete": True, "job": job.name, **more})
