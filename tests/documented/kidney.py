"""The pages' other ways to bundle, render, rehearse, upload and submit, with kidney after the demo."""

import json

from tests.bundle.foreign_projects import write_project
from tests.documented.road import DATA, ONE_IMAGE, QUICK
from tests.documented.walks import Step

_KIDNEY = {"COMPETITION": "kidney", **DATA}
_ONE = ("kidney", *ONE_IMAGE)
_VERIFY = {"verify.py": "dist/kidney/bundle/hubmap-kit-kidney-wheels/verify.py"}
_WHEELS = "hubmap-kit-kidney-wheels"
_OWN_WHEEL = (f"dist/kidney/bundle/{_WHEELS}/manifest.json", "my_models-0.3")
_HIDDEN = ("--hidden-images", "10")


def foreign(kit):
    """A file of a user's own packages for `bundle --foreign`."""
    write_project(kit / "my_models")
    (kit / "mine.in").write_text("./my_models\n")


BUNDLES = (
    Step("nox -s ensemble", "rung", more=("kidney",)),
    Step("nox -s ensemble -- kidney", "rung"),
    Step(
        "python -m train_local ensemble --prepared DIR --runs DIR --out ensemble.json",
        "rung",
        {"--prepared DIR": "work/kidney", "--runs DIR": "runs/kidney"},
    ),
    foreign,
    Step(
        "nox -s bundle -- kidney --foreign FILE",
        _WHEELS,
        {"FILE": "mine.in"},
        more=ONE_IMAGE,
        wrote=_OWN_WHEEL,
    ),
    Step("nox -s bundle -- kidney --weights-dtype float16", "float16", more=ONE_IMAGE),
    Step(
        "python -m bundle build ... --weights-dtype bfloat16 --data DIR --runs runs/kidney "
        "--measure-images 32",
        "bfloat16",
        {"...": ("--ensemble", "dist/kidney/ensemble.json", "--out", "measured"), **DATA},
        more=ONE_IMAGE[:2],
    ),
    Step(
        "python -m bundle build",
        "wheels",
        more=("--ensemble", "ensemble.json", "--out", "built", *ONE_IMAGE[:2]),
    ),
    Step("nox -s bundle", "hubmap-kit-kidney-weights", more=_ONE),
    Step("nox -s bundle -- kidney", "hubmap-kit-kidney-wheels", more=ONE_IMAGE),
    Step("python verify.py", r"(\d+) of \1 files are as they were bundled", _VERIFY),
    Step("python verify.py --restore DIR", r"(\d+) of \1 files", {**_VERIFY, "DIR": "restored"}),
    Step("nox -s gate -- kidney --python 3.13", r"3\.13"),
)
RENDERED = (
    Step("nox -s render", r"predict\.py", more=("kidney", *_HIDDEN)),
    Step("nox -s render -- COMPETITION --budget SECONDS", r"predict\.py", {**_KIDNEY, "SECONDS": "600"}),
    Step("nox -s render -- COMPETITION --hidden-images N", r"predict\.py", {**_KIDNEY, "N": "10"}),
    Step(
        "nox -s render -- COMPETITION --hidden-images N --hidden-megapixels M",
        r"predict\.py",
        {**_KIDNEY, "N": "10", "M": "900"},
    ),
    Step("nox -s render -- kidney --budget 16200", r"predict\.py", more=_HIDDEN),
    Step("nox -s rehearse", "verdict", more=("kidney", "--data", "sample/kidney")),
    Step("nox -s rehearse -- COMPETITION --data DIR", "verdict", _KIDNEY),
    Step(
        "nox -s rehearse -- kidney --data DIR --faults random --seed 7",
        r"faults +sigterm, working-full \(seed 7\)",
        DATA,
        code=1,
    ),
    Step(
        "nox -s rehearse -- kidney --data DIR --faults worker-killed slow-mount --seed 7",
        "worker-killed.*slow-mount",
        DATA,
    ),
)


def pinned(kit):
    """Write a target whose image is known, as `probe` does."""
    folder = kit / "kit" / "local" / "targets"
    target = json.loads((folder / "kaggle-2026-10-cpu.json").read_text())
    known = {"name": "pinned", "image": "host/kaggle-images/python@sha256:" + "a" * 64}
    (folder / "pinned.json").write_text(json.dumps(target | known))


SENT = (
    Step(
        "nox -s bundle upload -- kidney --dry-run --no-gate",
        "would become a new (dataset|version)",
        more=ONE_IMAGE[:2],
        with_service=True,
    ),
    Step("nox -s bundle upload", "verified", more=(*_ONE, *QUICK[:2]), with_service=True),
    Step(
        "nox -s bundle upload render -- kidney", "verified", more=(*ONE_IMAGE, *QUICK[:2]), with_service=True
    ),
    Step(
        "nox -s upload -- COMPETITION --dry-run",
        "would become a new (dataset|version)",
        _KIDNEY,
        more=QUICK[:2],
        with_service=True,
    ),
    Step(
        "python -m bundle upload --bundle dist/vasculature/bundle",
        "verified",
        more=QUICK[:2],
        with_service=True,
    ),
    Step(
        "nox -s upload -- vasculature --as model --model-licence apache-2.0",
        "verified",
        more=QUICK[:2],
        with_service=True,
    ),
    Step("nox -s submit -- kidney", "0.91234", more=(*_HIDDEN, *QUICK), with_service=True),
    pinned,
    Step(
        "nox -s submit -- COMPETITION --target NAME",
        "0.91234",
        {**_KIDNEY, "NAME": "pinned"},
        more=(*_HIDDEN, *QUICK),
        with_service=True,
    ),
    Step("nox -s submissions -- kidney", "0.91234", with_service=True),
)
