"""The table of contents: everything a user can do is a session here (`nox -l` lists them).

Read it from top to bottom: data -> training -> ensemble -> bundle -> predict.py -> rehearsal -> Kaggle. Each
session is a few typed commands (`python -m train_local ...`, `python -m bundle ...`, `python -m submission
...`) with this repository's folders filled in; what follows `--` goes to that command.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
from itertools import takewhile
from pathlib import Path

import nox

ROOT = Path(__file__).parent
sys.path.append(str(ROOT))
# nox runs in an interpreter of its own, without our dependencies. These modules need none of them.
from kit.errors import KitError  # noqa: E402
from kit.local import session_environment, session_options  # noqa: E402
from kit.local.program import TYPED  # noqa: E402
from kit.local.session_options import (  # noqa: E402
    asked_sessions,
    asks_help,
    known_options,
    meant,
    mistyped,
    own_options,
    typed_command,
    with_defaults,
)
from train_local.recipes import registry  # noqa: E402

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint"]

WORK, RUNS, DIST, BUILD = (ROOT / name for name in ("work", "runs", "dist", "build"))
SAMPLE = ROOT / "sample"
WHEELS = "wheels"
WITHOUT_COMPETITION = {"--requirements", "--bundle", "--install"}
"""Options that say what is meant in a competition's place; wheels alone lie in `dist/wheels`."""
CHECKPOINTS = ROOT / "checkpoints"
DEMO = {"vasculature": "detectors-r50", "kidney": "unet-regnety16"}
"""Competition -> the recipe whose tiny form the demo trains; the one that takes longest begins."""
COMPETITIONS = {registry.competition_of(recipe) for recipe in registry.names()}
KEEP_BYTECODE: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": None}
"""To compile our own modules again would cost each of the many processes of a session up to a second."""
COMMANDS = {
    "ensemble": ("-m", "train_local", "ensemble"),
    "bundle": ("-m", "bundle", "build"),
    "gate": ("-m", "bundle", "gate"),
    "upload": ("-m", "bundle", "upload"),
    "render": ("-m", "submission", "render"),
    "rehearse": ("-m", "submission", "rehearse"),
    "probe": ("-m", "bundle", "probe"),
    "submit": ("-m", "submission", "submit"),
    "submissions": ("-m", "submission", "submissions"),
    "bundle --requirements": ("-m", "bundle", "wheels"),
    "rehearse --install": ("-m", "submission", "rehearse-install"),
}
"""Session (with the option that makes it another one) -> its command. Of several sessions in one call each
gets the options that its command knows."""
# `nox -s bundle render submit`: after a bundle that failed, the next ones would take the former one.
nox.options.stop_on_first_error = any(name in COMMANDS for name in asked_sessions(sys.argv[1:]))


# --- the one environment --------------------------------------------------------------------------


def environment(session: nox.Session, *, peers: bool = False) -> str:
    """Python of the environment all sessions share, or of the benchmarks', which has their peers as well."""
    return session_environment.with_own_wheels(session, ROOT, peers=peers)


def run(session: nox.Session, *arguments: str | Path, env: dict[str, str] | None = None) -> None:
    """`python ARGUMENTS` in the shared environment."""
    # After Ctrl-C nox kills a command within half a second. `train-all` has jobs to end first, on a cluster
    # perhaps many.
    patience = {"interrupt_timeout": 120.0, "terminate_timeout": 30.0}
    own = KEEP_BYTECODE | {TYPED: typed_command(sys.argv)} | (env or {})
    session.run(environment(session), *map(str, arguments), external=True, env=own, **patience)


def chosen(session: nox.Session) -> tuple[list[str], list[str]]:
    """Competitions named first after `--` (all prepared ones when none is), and the other arguments."""
    prepared = sorted(path.parent.name for path in WORK.glob("*/prepared.json"))
    # "kidney body --tiny x" -> ["kidney", "body"], ["--tiny", "x"]: names end where the options begin.
    named = list(takewhile(lambda argument: not argument.startswith("-"), session.posargs))
    alone = [WHEELS] if WITHOUT_COMPETITION & {item.split("=")[0] for item in session.posargs} else []
    names, others = named or alone or prepared, session.posargs[len(named) :]
    if asks_help(others):
        names = names[:1] or ["COMPETITION"]
    elif not names:
        session.error(str(session_options.nothing_prepared(DIST, meant(others, WITHOUT_COMPETITION))))
    elif wrong := session_options.no_competition(named, COMPETITIONS, (WORK, DIST)):
        session.error(str(wrong))
    return names, options_for(session, others)


def options_for(session: nox.Session, options: list[str]) -> list[str]:
    """The options for this session, where nox was asked for several; a single one gets all of them."""
    asked = [name for name in asked_sessions(sys.argv[1:]) if name in COMMANDS]
    if len(asked) < 2 or not options:
        return options
    known = {}
    for name in asked:
        command = (environment(session), *session_options.command_of(COMMANDS, name, sys.argv), "--help")
        known[name] = known_options(session.run(*command, external=True, silent=True, env=KEEP_BYTECODE))
        known[name] |= {"bundle": {"--no-gate"}, "rehearse": {"--install"}}.get(name, set())
    try:
        return own_options(options, session.name, known)
    except KitError as error:
        session.error(str(error))


def bundle_of(name: str) -> Path:
    """The folder of a competition's datasets, or of the wheels alone."""
    return DIST / name if name == WHEELS else DIST / name / "bundle"


def name_of(competition: str) -> str:
    """The name of a competition's folders: the one its TOML file says, else as given."""
    if not competition.endswith(".toml"):
        return competition
    try:
        return str(tomllib.loads(Path(competition).read_text(encoding="utf-8-sig"))["name"])
    except (OSError, ValueError, KeyError):
        return Path(competition).stem  # `prepare` says what is wrong with the file


# --- see it work ----------------------------------------------------------------------------------


@nox.session
def doctor(session: nox.Session) -> None:
    """`-- [--json]`: what this machine has, what it lacks and what to do; needs no environment."""
    session.run(sys.executable, "-m", "kit", "doctor", *session.posargs, external=True, env=KEEP_BYTECODE)


@nox.session(name="new-competition")
def new_competition(session: nox.Session) -> None:
    """`-- DIR [--out FILE] [--answer KEY=VALUE] [--yes]`: a downloaded folder becomes a definition."""
    session.run(environment(session), "-m", "kit", "new-competition", *session.posargs, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """The whole chain on real sample images with tiny networks on CPU; ends with scores and a report."""
    # All it leaves lies in folders of its own: results of the real road stay as they are.
    began, out = time.monotonic(), DIST / "demo"
    chapters: list[str | Path] = []
    works = {name: WORK / "demo" / name for name in DEMO}
    for name, work in works.items():
        run(session, "-m", "train_local", "prepare", name, "--data", SAMPLE / name, "--out", work)
    only = [part for recipe in DEMO.values() for part in ("--only", f"{recipe}-tiny")]
    how = ("--prepared", *works.values(), "--out", RUNS / "demo", "--tiny", "--jobs", "2", *only)
    run(session, "-m", "train_local", "train-all", *how)
    for name, work in works.items():
        data, runs, dist = SAMPLE / name, RUNS / "demo" / name, out / name
        plan, datasets, script = dist / "ensemble.json", dist / "bundle", dist / "predict.py"
        run(session, "-m", "train_local", "ensemble", "--prepared", work, "--runs", runs, "--out", plan)
        run(session, "-m", "bundle", "build", "--ensemble", plan, "--out", datasets)
        run(session, "-m", "submission", "render", "--ensemble", plan, "--bundle", datasets, "--out", script)
        offline = ("--predict", script, "--bundle", datasets, "--data", data, "--budget", "900")
        run(session, "-m", "submission", "rehearse", *offline, "--out", dist / "rehearsal")
        score(session, name, dist)
        chapters += ["--chapter", name, data, dist, runs]
    run(session, "-m", "submission", "report", "--out", out / "report.html", *chapters)
    for name in DEMO:
        scores = json.loads((out / name / "scores.json").read_text())
        session.log(f"{name}: " + ", ".join(f"{kind} {value:.4f}" for kind, value in scores.items()))
        session.log(f"{name}: {out / name / 'predict.py'}")
        rehearsed = json.loads((out / name / "rehearsal" / "rehearsal.json").read_text())
        session.log(f"{name}: {rehearsed['verdict']['text']}")
    session.log(f"report: {out / 'report.html'} ({time.monotonic() - began:.0f} s for all of it)")


def score(session: nox.Session, name: str, dist: Path) -> None:
    """Score the rehearsed submission and the baselines with the same code -> `scores.json`."""
    data = SAMPLE / name
    submissions = {"submission": dist / "rehearsal" / "submission.csv"}
    for kind in ("otsu", "all-foreground"):
        submissions[kind] = dist / "baselines" / f"{kind}.csv"
        rule = ("--competition", name, "--data", data, "--kind", kind)
        run(session, "-m", "train_local", "baseline", *rule, "--out", submissions[kind])
    scores = {}
    for kind, path in submissions.items():
        what = ("--competition", name, "--data", str(data), "--submission", str(path))
        command = ("-m", "kit", "score", *what, "--json")
        out = session.run(environment(session), *command, external=True, silent=True)
        scores[kind] = json.loads(out)["value"]
    (dist / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


@nox.session
def example(session: nox.Session) -> None:
    """`-- segmenter|classifier [--short]`: a model of one's own, from its training to a scored rehearsal."""
    run(session, "docs/examples/run.py", *session.posargs)


# --- from competition data to a submission, step by step ------------------------------------------


@nox.session
def prepare(session: nox.Session) -> None:
    """`-- COMPETITION --data DIR`: check the competition's files, build folds, training images, COCO."""
    first = session.posargs[0] if session.posargs else ""
    if (not first or first.startswith("-")) and not asks_help(session.posargs):
        session.error("say which competition: `nox -s prepare -- COMPETITION --data DIR`")
    name = name_of(first)
    run(session, "-m", "train_local", "prepare", *with_defaults(session.posargs, out=WORK / name))


@nox.session(name="train-all")
def train_all(session: nox.Session) -> None:
    """`-- [COMPETITION ...] [--only PATTERN] [--dry-run]`: every job of every recipe that is not done yet."""
    # Without a COMPETITION all prepared ones are taken; `--data COMPETITION DIR` prepares one first. With
    # --tiny and nothing prepared, the samples are prepared and trained on.
    given = {argument.split("=")[0] for argument in session.posargs}
    named = session.posargs and not session.posargs[0].startswith("-")
    if given & {"--data", "--prepared"}:
        arguments = with_defaults(session.posargs, work=WORK, out=RUNS, dist=DIST, **fetched())
    elif "--tiny" in given and not named and not any(WORK.glob("*/prepared.json")):
        data = [part for name in samples() for part in ("--data", name, str(SAMPLE / name))]
        places = {"work": WORK / "sample", "out": RUNS / "sample", "dist": DIST / "sample"}
        arguments = with_defaults([*session.posargs, *data], **places)
    else:
        names, others = chosen(session)
        folders = ["--prepared", *(str(WORK / name) for name in names)]
        arguments = with_defaults([*others, *folders], out=RUNS, dist=DIST, **fetched())
    run(session, "-m", "train_local", "train-all", *arguments)


@nox.session
def fetch(session: nox.Session) -> None:
    """`-- NAME ...`: published checkpoints into `checkpoints/`, where training looks; alone it lists them."""
    if not session.posargs:
        run(session, "-m", "kit.models", "pretrained")
    for name in session.posargs:
        run(session, "-m", "kit.models", "fetch", name, "--out", str(CHECKPOINTS))


def fetched() -> dict[str, Path]:
    """The folder of published checkpoints, if there is one."""
    return {"checkpoints": CHECKPOINTS} if CHECKPOINTS.is_dir() else {}


def samples() -> list[str]:
    """Names of the competitions that have a sample."""
    return sorted(path.parent.name for path in SAMPLE.glob("*/sample_submission.csv"))


def _train_session(recipe: str, name: str) -> None:
    @nox.session(name=f"train-{recipe}")
    def train(session: nox.Session) -> None:
        places = {"prepared": WORK / name, "out": RUNS / name, **fetched()}
        arguments = with_defaults(session.posargs, **places, fold="all")
        run(session, "-m", "train_local", "train", recipe, *arguments)

    train.__doc__ = (
        f"`-- [--fold K] [--tiny]`: the recipe {recipe} alone, every fold that is not finished yet."
    )


for _recipe in registry.names():
    _train_session(_recipe, registry.competition_of(_recipe))


@nox.session
def ensemble(session: nox.Session) -> None:
    """`-- [COMPETITION]`: members, weights and thresholds from out-of-fold predictions -> `ensemble.json`."""
    names, others = chosen(session)
    for name in names:
        arguments = with_defaults(
            others, prepared=WORK / name, runs=RUNS / name, out=DIST / name / "ensemble.json"
        )
        run(session, *COMMANDS["ensemble"], *arguments)


@nox.session(name="add-model")
def add_model(session: nox.Session) -> None:
    """`-- COMPETITION MODEL.py --weights FILE[@FOLD] ...`: a model of your own becomes finished runs."""
    name, *options = session.posargs or [""]
    if asks_help(session.posargs):
        options = ["--help"]
    elif not name or name.startswith("-") or name.endswith(".py"):
        session.error("say which competition: `nox -s add-model -- COMPETITION MODEL.py --weights FILE@0`")
    arguments = with_defaults(options, prepared=WORK / name_of(name), runs=RUNS / name_of(name))
    run(session, "-m", "train_local", "add-model", *arguments)


@nox.session
def bundle(session: nox.Session) -> None:
    """`-- [COMPETITION] [--no-gate]`: wheels, weights -> datasets; `-- --requirements FILE`: wheels alone."""
    names, others = chosen(session)
    options = [argument for argument in others if argument != "--no-gate"]
    for name in names:
        out = session_options.value_of(options, "--out", bundle_of(name))
        if name == WHEELS:
            run(session, *COMMANDS["bundle --requirements"], *with_defaults(options, out=out))
            run(session, "-m", "submission", "installer", "--bundle", out)
        else:
            more = {"ensemble": DIST / name / "ensemble.json", "out": out}
            run(session, *COMMANDS["bundle"], *with_defaults(measured(name, options), **more))
        if options == others and not asks_help(others):
            _gate(session, Path(out))


def measured(name: str, arguments: list[str]) -> list[str]:
    """Add what the score change of other weights is measured on: the prepared data and the training runs."""
    prepared = WORK / name / "prepared.json"
    if "--weights-dtype" not in {argument.split("=")[0] for argument in arguments} or not prepared.is_file():
        return arguments
    data = json.loads(prepared.read_text(encoding="utf-8"))["data"]
    return with_defaults(arguments, data=data, runs=RUNS / name)


@nox.session
def native(session: nox.Session) -> None:
    """`-- [--target NAME] [--way here|docker|kernel]`: compile mmcv's operators for the images."""
    run(session, "-m", "bundle", "native", *with_defaults(session.posargs, state=DIST / "native"))


@nox.session
def gate(session: nox.Session) -> None:
    """`-- [COMPETITION] [--python 3.13]`: install the bundle alone, offline, on each Python, and try it."""
    names, others = chosen(session)
    for name in names:
        _gate(session, bundle_of(name), *others)


def _gate(session: nox.Session, folder: Path, *arguments: str) -> None:
    run(session, *COMMANDS["gate"], *with_defaults(list(arguments), bundle=folder))


@nox.session
def upload(session: nox.Session) -> None:
    """`-- [COMPETITION] [--dry-run] [--public]`: its datasets to Kaggle, read back and compared."""
    names, others = chosen(session)
    for name in names:
        arguments = with_defaults(others, bundle=bundle_of(name), work=BUILD / "uploads")
        run(session, *COMMANDS["upload"], *arguments)


@nox.session
def render(session: nox.Session) -> None:
    """`-- [COMPETITION]`: the single self-contained `dist/COMPETITION/predict.py` (and predict.ipynb)."""
    names, others = chosen(session)
    for name in names:
        dist = DIST / name
        arguments = with_defaults(
            others, ensemble=dist / "ensemble.json", bundle=dist / "bundle", out=dist / "predict.py"
        )
        run(session, *COMMANDS["render"], *arguments)


@nox.session
def rehearse(session: nox.Session) -> None:
    """`-- [COMPETITION] --data DIR [--faults NAME ...]`: predict.py offline; `-- --install [DIR]`: wheels."""
    if session.posargs[-2:] == ["--faults", "list"]:
        run(session, "-m", "submission", "faults")
        return
    names, others = chosen(session)
    install = session_options.renamed(others, "--install", "--bundle")
    if install != others:
        run(session, *COMMANDS["rehearse --install"], *with_defaults(install, bundle=bundle_of(WHEELS)))
        return
    for name in names:
        dist = DIST / name
        what: dict[str, str | Path] = {"predict": dist / "predict.py", "bundle": dist / "bundle"}
        how = with_defaults(others, **what, out=dist / "rehearsal")
        run(session, *COMMANDS["rehearse"], *how)


@nox.session
def report(session: nox.Session) -> None:
    """`-- REPORT.json [--data DIR] [--out FILE]`: a page about one run, on Kaggle or here."""
    run(session, "-m", "submission", "report", *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """docs/screenshots from the pages that `demo` left: desktop and phone, light and dark; needs Chromium."""
    arguments = with_defaults(
        session.posargs, dist=DIST / "demo", runs=RUNS / "demo", out=ROOT / "docs/screenshots"
    )
    run(session, "-m", "tests.browser", *arguments)


# --- on Kaggle ------------------------------------------------------------------------------------


@nox.session
def probe(session: nox.Session) -> None:
    """`-- [--accelerator ID]`, `-- --local`, `-- --from FILE`: what an image has becomes a target file."""
    # In one call with other sessions there may be names of competitions; the probe is the same for all.
    alone = len(asked_sessions(sys.argv[1:])) < 2
    options = session.posargs if alone else chosen(session)[1]
    run(session, *COMMANDS["probe"], *with_defaults(options, state=DIST / "probe"))


@nox.session
def submit(session: nox.Session) -> None:
    """`-- [COMPETITION]`: push predict.py, wait for its commit run, submit it once, wait for the score."""
    names, others = chosen(session)
    for name in names:
        dist = DIST / name
        arguments = with_defaults(
            others, predict=dist / "predict.py", state=dist / "kaggle", log=dist / "submissions.jsonl"
        )
        run(session, *COMMANDS["submit"], *arguments)


@nox.session
def submissions(session: nox.Session) -> None:
    """`-- [COMPETITION]`: the log of all submissions, with Kaggle's present scores."""
    names, others = chosen(session)
    for name in names:
        arguments = with_defaults(others, log=DIST / name / "submissions.jsonl")
        run(session, *COMMANDS["submissions"], *arguments)


# --- is it right ----------------------------------------------------------------------------------


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite; `-- tests/kit -k rle` runs a part of it."""
    arguments = session.posargs or session_environment.pytest_processes()
    # Tests run the commands that the documents name, and these start nox.
    run(session, "-m", "pytest", *arguments, env={"OMP_NUM_THREADS": "1", "KIT_NOX_PYTHON": sys.executable})


@nox.session
def golden(session: nox.Session) -> None:
    """The golden-output test alone: the rendered predict.py against an independent slow path's CSVs."""
    run(session, "-m", "tests.golden", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """`-- [--schedules 300]`: uploads, submissions to a failing Kaggle; `-- --runs 300`: predict.py."""
    of_runs = {"--runs", "--each"} & {argument.split("=")[0] for argument in session.posargs}
    run(session, "-m", "tests.faults" if of_runs else "tests.kaggle_server", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every figure again; `-- models`, ... [--write-docs]: some; `-- all --tiny --docs DIR`: all, small."""
    asked = session.posargs or ["all", "--write-docs"]
    if asked[0] == "all" and not asks_help(asked) and not {"--tiny", "--dry-run"} & set(asked):
        demo(session)  # some figures are its scores, or are measured with what it leaves
    python = environment(session, peers=asked[0] in {"inference", "all"} and "--dry-run" not in asked)
    session.run(python, "-m", "benchmarks", *asked, external=True, env=KEEP_BYTECODE)


@nox.session
def coverage(session: nox.Session) -> None:
    """The tests of the pure logic (`tests/pure_logic.py` tells it); an error below 100 % of its branches."""
    from tests import pure_logic

    how = ("--rcfile", pure_logic.write_settings(BUILD / "coverage"))
    arguments = session.posargs or pure_logic.arguments()
    run(session, "-m", "coverage", "run", *how, "-m", "pytest", *arguments, env={"OMP_NUM_THREADS": "1"})
    run(session, "-m", "coverage", "combine", "--quiet", *how)
    run(session, "-m", "coverage", "report", *how)


@nox.session
def docs(session: nox.Session) -> None:
    """The pages of docs/ as a site in `dist/docs/`; `-- --write`: first those made from the code."""
    run(session, "-m", "documents", "write" if "--write" in session.posargs else "check")
    run(session, "-m", "documents", "stage", "--out", BUILD / "docs")
    python = session_environment.locked(session, ROOT, "docs", ["requirements-docs.txt"]) / "bin" / "python"
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    session.run(str(python), "-m", "mkdocs", "build", "--strict", external=True, env=quiet)
    run(session, "-m", "documents", "site", DIST / "docs")


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format (ruff), types (mypy)."""
    run(session, "-m", "ruff", "check", ".")
    run(session, "-m", "ruff", "format", "--check", ".")
    run(session, "-m", "mypy")


@nox.session
def lock(session: nox.Session) -> None:
    """Pin requirements.in again: requirements.lock with hashes for Python 3.11-3.13 (some minutes)."""
    run(session, "-m", "bundle", "lock", *session.posargs)
    if "--check" not in session.posargs:
        session_environment.lock_others(session, ROOT)


for _advice in mistyped(asked_sessions(sys.argv[1:]), nox.registry.get()):
    print(_advice, file=sys.stderr)  # nox itself says only that there is no such session
