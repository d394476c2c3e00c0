"""`python -m submission submit | submissions`: from a rendered predict.py to a score, and all scores."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from kit.command_line import option
from kit.errors import KitError
from kit.local import targets
from kit.local.console import show_table
from kit.local.kaggle import kernel_runs, kernel_state, kernels
from kit.local.kaggle.account import account
from kit.local.kaggle.kernel_metadata import Kernel
from kit.local.kaggle.kernels import Pushed
from kit.local.kaggle.waiting import Waiting, open_wire, say
from kit.local.kaggle.wire import Wire
from kit.local.locks import only_one
from kit.local.verbs import Verb
from kit.typed_json import above, at_least, to_plain
from submission.submit import commit_run, competition, hidden_time, sources
from submission.submit.commit_run import CommitRun
from submission.submit.hidden_time import HiddenTime
from submission.submit.log import Log, Submission
from submission.submit.sources import Script, Source

CPU = "cpu"


@dataclass(frozen=True, kw_only=True)
class Submit:
    """Push predict.py as a kernel, wait for its commit run, submit it once and wait for the score.

    Attributes:
        predict: the rendered script or notebook.
        state: folder with the state files of `upload`, and for those of the kernel.
        log: of submissions; None puts submissions.jsonl beside `state`.
        competition: name in its address; None: that of the script's own competition.
        target: whose image is pinned, if its digest is known; None pins none.
        image: container reference with digest, instead of a target's.
        accelerator: Kaggle's name of the machine, or "cpu".
        owner: Kaggle user name; None: that of the credentials.
        title: of the kernel; None makes one of the competition's name.
        message: for the submission's description, after its id.
        hours: that the competition allows.
        hidden_images: number of images in the hidden test set.
        hidden_megapixels: of all of them together.
        commit_only: stop before the submission.
        dry_run: stop before the push.
        force: submit although the hidden run looks too long.
        again: send a submission again whose answer was lost, after having looked on Kaggle.
        waiting: how long Kaggle may take.
    """

    predict: Path = field(metadata=option("the rendered predict.py or predict.ipynb", metavar="FILE"))
    state: Path = field(metadata=option("folder with the state files of upload", metavar="DIR"))
    log: Path | None = field(
        default=None,
        metadata=option("of submissions (default: submissions.jsonl beside --state)", metavar="FILE"),
    )
    competition: str | None = field(
        default=None, metadata=option("name in its address (default: the script's own)", metavar="NAME")
    )
    target: str | None = field(
        default=None, metadata=option("pin this target's image", metavar="NAME", names=targets.names)
    )
    image: str | None = field(
        default=None, metadata=option("pin this container (with digest)", metavar="REF")
    )
    accelerator: str = field(
        default="NvidiaTeslaT4", metadata=option("Kaggle's name of the machine, or cpu", metavar="ID")
    )
    owner: str | None = field(
        default=None, metadata=option("Kaggle user name (default: that of the credentials)", metavar="NAME")
    )
    title: str | None = field(default=None, metadata=option("of the kernel (default: by the competition)"))
    message: str = field(default="", metadata=option("for the submission's description"))
    hours: Annotated[float, above(0)] = field(
        default=9.0, metadata=option("the competition's limit for a run", metavar="HOURS")
    )
    hidden_images: Annotated[int, at_least(1)] | None = field(
        default=None, metadata=option("number of images in the hidden test set", metavar="N")
    )
    hidden_megapixels: Annotated[float, above(0)] | None = field(
        default=None, metadata=option("of all hidden images together", metavar="MP")
    )
    commit_only: bool = field(default=False, metadata=option("stop before the submission"))
    dry_run: bool = field(default=False, metadata=option("check, and stop before the push"))
    force: bool = field(default=False, metadata=option("submit although the hidden run looks too long"))
    again: bool = field(
        default=False,
        metadata=option("you looked: a submission without an answer is not on Kaggle; send it again"),
    )
    waiting: Waiting

    def __post_init__(self) -> None:
        if self.target is not None and self.image is not None:
            raise KitError("--target and --image both pin an image", fix="give one of them")


@dataclass(frozen=True, kw_only=True)
class Submissions:
    """Ask Kaggle for the scores of all submissions of a log, and show them."""

    log: Path = field(metadata=option("submissions.jsonl", metavar="FILE"))
    offline: bool = field(default=False, metadata=option("show the log as it is, ask nobody"))
    waiting: Waiting


def submit(options: Submit) -> int:
    """Run the verb `submit`: print one JSON line; 0 only with a score, or where the user told it to stop.

    Raises:
        KitError: as the steps say.
    """
    script = sources.read_script(options.predict)
    found = sources.find_sources(script, options.state)
    slug = options.competition or script.slug
    if script.budget is not None and not options.force:
        hidden_time.require_budget(script.budget, options.hours * 3600)
    with open_wire(options.waiting) as wire:
        who = account(wire).name
        if options.owner is not None and options.owner.lower() != who.lower():
            raise KitError(
                f"the credentials are those of {who}, not of {options.owner}",
                where="--owner",
                fix="leave out --owner, or use the other account's token",
            )
        kernel = _kernel(options, script, found, slug, who)
        sources.require_current(wire, found)
        for source in found:
            say(f"{source.kind} {source.id}: verified, {source.fingerprint[:12]}")
        if options.dry_run:
            say(f"would push {kernel.id} and submit it to {slug}")
            return 0
        log = Log(options.log or options.state.parent / "submissions.jsonl")
        pushed, files = _commit_run(wire, options, kernel, found)
        run = commit_run.read_output(
            files,
            url=pushed.url,
            accelerator=kernel.accelerator,
            image=kernel.image,
            submission=commit_run.submission_name(script.ensemble),
        )
        _write_page(next(path for path in files if path.name == commit_run.REPORT))
        hidden = hidden_time.hidden_time(
            run.report, images=options.hidden_images, megapixels=options.hidden_megapixels
        )
        _tell(run, hidden, options)
        if not options.force:
            hidden_time.require_fits(hidden, options.hours * 3600)
        if options.commit_only:
            say("nothing was submitted; the same command without --commit-only submits this version")
            _print({"kernel": pushed.id, "version": pushed.version, "url": pushed.url})
            return 0
        entry = replace(
            _entry(script, found, slug, pushed), message=options.message, predicted_seconds=hidden.range
        )
        with only_one(log.lock, doing="submits with this log"):
            sent = competition.submit_once(wire, log, entry, again=options.again, say=say)
        scored = competition.wait_for_score(wire, log, sent, limit_s=options.waiting.limit, say=say)
    cv = "" if scored.cv is None else f"; out of fold {scored.cv:.4f}"
    say(f"{scored.kernel} version {scored.kernel_version}: public score {scored.public_score}{cv}")
    _print(to_plain(scored, leave_out_none=True))
    return 0


def show(options: Submissions) -> int:
    """Run the verb `submissions`: bring the log up to date and print it as a table on stderr, JSON on stdout.

    Raises:
        KitError: the log is damaged, or Kaggle cannot be asked.
    """
    log = Log(options.log)
    entries = log.entries()
    if not entries:
        say(f"no submission stands in {options.log}; `submit` writes the first")
        return 0
    if not options.offline:
        with open_wire(options.waiting) as wire:
            entries = competition.refresh(wire, log)
    headings = ("id", "date", "kernel", "cv", "public", "private", "state")
    show_table("submissions", headings, [_row(entry) for entry in entries])
    for entry in entries:
        _print(to_plain(entry, leave_out_none=True))
    return 0


def _kernel(options: Submit, script: Script, found: list[Source], slug: str, owner: str) -> Kernel:
    accelerator = None if options.accelerator.lower() == CPU else options.accelerator
    kind: Literal["script", "notebook"] = "notebook" if options.predict.suffix == ".ipynb" else "script"
    return Kernel(
        owner=owner,
        title=options.title or f"Kit {script.ensemble.competition}"[:50].rstrip(),
        source=options.predict,
        kind=kind,
        datasets=tuple(source.id for source in found if source.kind == "dataset"),
        models=tuple(source.id for source in found if source.kind == "model"),
        competitions=(slug,),
        accelerator=accelerator,
        internet=False,
        image=options.image or _image_of(options.target, accelerator),
    )


def _image_of(name: str | None, accelerator: str | None) -> str | None:
    if name is None:
        return None
    [target, *others] = targets.choose((name,), targets.known())
    if others:
        names = ", ".join(target.name for target in (target, *others))
        raise KitError(f"{name} is the tag of several targets", where="--target", fix=f"give one of {names}")
    if target.image is None:
        raise KitError(
            f"the digest of the image {target.name} is not known, so it cannot be pinned",
            where="--target",
            fix="run `probe`, which finds it out; or leave out --target, and Kaggle's present image is used",
        )
    if target.accelerator is not None and (target.accelerator == CPU) != (accelerator is None):
        raise KitError(
            f"{target.name} is the image of {target.accelerator} sessions, and the accelerator is "
            f"{accelerator or CPU}",
            where="--target",
            fix="choose the target of the same kind of session",
        )
    return target.image


def _commit_run(
    wire: Wire, options: Submit, kernel: Kernel, found: list[Source]
) -> tuple[Pushed, list[Path]]:
    state = kernel_state.state_file(options.state, kernel.id)
    fingerprints = {source.id: source.fingerprint for source in found}
    pushed = kernels.push(wire, kernel, state, fingerprints=fingerprints, say=say)
    say(f"commit run of {pushed.id} version {pushed.version}: {pushed.url}")
    kernel_runs.wait(wire, pushed, lambda line: say(f"  {line}"), limit_s=options.waiting.limit)
    place = options.state / "output" / f"{pushed.id.replace('/', '.')}-v{pushed.version}"
    return pushed, kernel_runs.output(wire, pushed, place)


def _write_page(report: Path) -> None:
    from submission.report.run_page import write_run_page  # imports matplotlib

    page = report.with_suffix(".html")
    try:
        write_run_page(report, page)
    except KitError as error:  # what only shows a run must not keep it from being submitted
        say(f"no page of the commit run: {error}")
    else:
        say(f"page of the commit run: {page}")


def _tell(run: CommitRun, hidden: HiddenTime, options: Submit) -> None:
    for note in run.notes:
        say(note)
    say(f"set-up: {hidden.set_up:.0f} s; budget: {hidden.budget:.0f} s; limit: {options.hours * 3600:.0f} s")
    for line in hidden.forecast_lines:
        say(line)
    if hidden.forecast is not None:
        return
    if hidden.range is None:
        say("hidden time: not known; give --hidden-images or --hidden-megapixels if you know them")
        return
    low, high = hidden.range
    least, total = hidden.last_rung(), len(hidden.rungs)
    rungs = str(total) if least == total else f"{least} to {total}"
    say(
        f"hidden time: {low:.0f} to {high:.0f} s for {rungs} of {total} rungs; the hidden run's processor "
        "may be slower than the commit run's"
    )


def _entry(script: Script, found: list[Source], slug: str, pushed: Pushed) -> Submission:
    time = kernel_state.now()
    return Submission(
        id=competition.new_id(),
        time=time,
        asked=time,
        stage="asked",
        competition=slug,
        kernel=pushed.id,
        kernel_version=pushed.version,
        file=commit_run.submission_name(script.ensemble),
        predict_sha256=script.sha256,
        ensemble_sha256=script.ensemble_sha256,
        bundle={source.id: source.fingerprint for source in found},
        members=[member.name for member in script.ensemble.members],
        cv=script.ensemble.rungs[-1].cv,
    )


def _row(entry: Submission) -> tuple[str, ...]:
    return (
        entry.id,
        entry.asked[:10],
        f"{entry.kernel.partition('/')[2]} v{entry.kernel_version}",
        "" if entry.cv is None else f"{entry.cv:.4f}",
        entry.public_score or "",
        entry.private_score or "",
        entry.error or entry.stage,
    )


def _print(value: Any) -> None:
    print(json.dumps(value, sort_keys=True))


SUBMIT = Verb(
    "submit",
    Submit,
    submit,
    "on Kaggle",
    (
        "submit --predict dist/kidney/predict.py --state dist/kidney/kaggle --dry-run",
        "submit --predict dist/kidney/predict.py --state dist/kidney/kaggle",
    ),
    "what Kaggle runs goes on, and a submission is never sent twice",
)
"""`submit --predict FILE --state DIR`."""
SUBMISSIONS = Verb(
    "submissions",
    Submissions,
    show,
    "on Kaggle",
    ("submissions --log dist/kidney/submissions.jsonl",),
    "the log is whole",
)
"""`submissions --log FILE`."""
