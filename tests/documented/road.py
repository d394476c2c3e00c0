"""README's road: the demo, then from data to a submission on a loopback Kaggle."""

import contextlib

from tests.documented.walks import Step, copied
from tests.kaggle_server.competitions import Competition
from tests.kaggle_server.kernels import Run
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.submitting import LOG, files_of
from tests.kaggle_server.world import World

VASCULATURE = "/data/hubmap-hacking-the-human-vasculature"
SLUGS = {"vasculature": "hubmap-hacking-the-human-vasculature", "kidney": "hubmap-kidney-segmentation"}
QUICK = ("--patience", "30", "--poll", "0.1", "--accelerator", "cpu")
ONE_IMAGE = ("--target", "kaggle-2026-10", "--no-gate")
TINY = ("--tiny", "--only", "detectors-r50-tiny")
BUDGETS = (
    *("--tiny", "--predict", "dist/demo/kidney/predict.py"),
    *("--bundle", "dist/demo/kidney/bundle", "--data", "sample/kidney"),
)
DATA = {VASCULATURE: "sample/vasculature", "DIR": "sample/kidney"}


@contextlib.contextmanager
def kaggle(folder):
    """A Kaggle with both competitions, where each kernel writes what the last rehearsal of its data wrote."""
    with Server(World()) as server:
        world = server.world
        world.rooms["competitions"] = {slug: Competition() for slug in SLUGS.values()}

        def session(_text, request):
            [slug] = request["competitionDataSources"]
            [name] = [name for name, known in SLUGS.items() if known == slug]
            return Run(files_of(folder / "kit" / "dist" / name / "rehearsal"), list(LOG))

        world.rooms["run"] = session
        (folder / "home").mkdir(exist_ok=True)
        yield dict.fromkeys(REMOVED) | server.environment(folder / "home")


def finished(kit):
    """Let the demo's runs, and kidney's data and ensemble, count as the road's: none trains again."""
    for name in SLUGS:
        copied(f"runs/demo/{name}", f"runs/{name}")(kit)
    for part in ("work", "dist"):
        copied(f"{part}/demo/kidney", f"{part}/kidney")(kit)


DEMO = (
    Step("nox -s demo", r"vasculature: submission .*kidney: submission 0\..*report: .*report\.html"),
    Step("nox -s upload -- demo/kidney --dry-run", "hubmap-kit-kidney", more=QUICK[:2], with_service=True),
    Step("python -m benchmarks demo --write-docs", r"kidney.*vasculature"),
    Step("nox -s bench -- workers --part budgets", r"kidney \| 60 \|", more=BUDGETS),
    *(
        Step(
            f"python -m kit {verb} --competition kidney --data sample/kidney "
            "--submission dist/demo/kidney/rehearsal/submission.csv",
            says,
        )
        for verb, says in (("score", r"mean Dice over 1 image: 0\."), ("validate", "valid"))
    ),
    copied("dist/demo/kidney/rehearsal/report.json", "report.json"),
    copied("dist/demo/kidney/rehearsal/submission.csv", "submission.csv"),
    Step("nox -s report -- report.json", r"report\.html"),
    Step("nox -s report -- report.json --data DIR --out page.html", r"page\.html", DATA),
    Step("nox -s report", "report", code=1),
)
ROAD = (
    Step(f"nox -s prepare -- vasculature --data {VASCULATURE}", r"94 images in 5 folds \(strips\)", DATA),
    finished,
    Step("nox -s train-all -- --dry-run", "vasculature/detectors-r50"),
    Step("nox -s train-all", "jobs are done", more=TINY),
    Step("nox -s ensemble bundle render", r"predict\.py", more=("vasculature", *ONE_IMAGE)),
    Step(f"nox -s rehearse -- vasculature --data {VASCULATURE}", "verdict", DATA),
    Step(
        "nox -s upload -- vasculature --dry-run",
        "would become a new (dataset|version)",
        more=QUICK[:2],
        with_service=True,
    ),
    Step("nox -s upload", "verified", more=("vasculature", *QUICK[:2]), with_service=True),
    Step("nox -s submit", "0.91234", more=("vasculature", *QUICK), with_service=True),
)
