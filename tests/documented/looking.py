"""Commands that only print, or that write a file or two."""

from tests.documented.walks import Step, Walk

_HELP = r"usage: python -m {}"
_NO_VERB = r"required: VERB.*fix:"
PROGRAMS = ("benchmarks", "bundle", "kit", "kit.models", "submission", "train_local")

PRINTS = Walk(
    "prints",
    (
        Step("nox -l", r"\* tests -> The test suite"),
        Step("nox -s doctor", r"\d+ ok, \d+ notes?, 0 problems"),
        Step("nox -s fetch", "regnety_016"),
        Step("nox -s bench -- all --dry-run", r"would run +benchmarks\.md: rle"),
        Step("nox -s rehearse -- --faults list", "worker-killed"),
        *(Step(f"python -m {name}", _NO_VERB, code=2) for name in PROGRAMS),
        *(
            Step(f"python -m {name} --help", _HELP.format(name))
            for name in ("bundle", "submission", "train_local")
        ),
        Step("python -m bundle lock --check", r"\A\Z"),
        Step("python -m bundle shadow", "kaggle-2026-10"),
        Step("python -m bundle shadow --target kaggle-2026-10", "numpy"),
        Step("python -m bundle targets", "kaggle-2026-09-cpu"),
        Step("python -m bundle targets --target NAME", "kaggle-2026-10", {"NAME": "kaggle-2026-10"}),
        Step("python -m bundle targets --target cp313 --json", r'"kaggle-2026-10"'),
        Step("python -m kit doctor", r"\d+ ok, \d+ notes?, 0 problems"),
        Step("python -m kit doctor --json", r'"told": "all \d+ packages are those of the lock"'),
        Step("python -m kit.models list", "vit-adapter-l"),
        Step("python -m kit.models list --size 512", r"2,011\.4", more=("vit-adapter-l", "segformer-b3")),
        Step("python -m kit.models pretrained", "regnety_016"),
        Step("python -m tests.import_graph", "kit"),
        Step("python -m tests.pure_logic", "kit/masks/rle.py"),
        Step("python -m train_local recipes", "unet-regnety16"),
        Step("python -m train_local recipes --doc", "docs/recipes.md"),
        Step("python -m train_local show RECIPE --stage N", "lr", {"RECIPE": "detectors-r50", "N": "1"}),
        Step("python -m train_local show <recipe>", "lr", {"<recipe>": "unet-regnety16"}),
        Step("python -m train_local show detectors-x101 --variant text", "lr"),
        *(Step(f"python -m kit {verb}", "fix:", code=2) for verb in ("score", "validate")),
    ),
)
