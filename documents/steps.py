"""The steps in which people meet a message, by the module that makes it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step of the chain.

    Attributes:
        title: heading on the page.
        told: one sentence below it.
        modules: prefixes of module names; of all steps the longest prefix wins.
    """

    title: str
    told: str
    modules: tuple[str, ...]


STEPS = (
    Step(
        "Any command",
        "Options, files and folders, whatever the command.",
        ("kit", "kit.local", "submission", "train_local", "noxfile"),
    ),
    Step(
        "The competition's files",
        "`prepare`, `validate`, `score`, and predict.py when it opens the mounted competition.",
        (
            "kit.competitions",
            "kit.local.competitions",
            "kit.local.metrics",
            "kit.local.new_competition",
            "kit.local.masks",
            "kit.masks",
            "kit.typed_json",
            "kit.predictions",
        ),
    ),
    Step("Images", "Any step that opens an image.", ("kit.images",)),
    Step(
        "Preparing the data",
        "`prepare`, and the training examples that a run reads.",
        ("train_local.data", "train_local.places"),
    ),
    Step(
        "Recipes and networks",
        "`train`, `train-all`, `show`, `diff`: when a recipe or a network is made.",
        ("train_local.recipes", "train_local.recipe_commands", "train_local.augment", "kit.models"),
    ),
    Step(
        "Published checkpoints",
        "`fetch`, `convert`, and the start of a training.",
        ("kit.local.pretrained", "kit.local.pretrained_command", "kit.local.safetensors_header"),
    ),
    Step(
        "Training",
        "`train-all`, and each training by itself.",
        (
            "train_local.engine",
            "train_local.jobs",
            "train_local.monitor",
            "train_local.validation",
            "train_local.report",
            "train_local.runs",
            "train_local.claims",
            "train_local.ends",
            "train_local.durations",
            "train_local.planned_runs",
            "train_local.baseline",
            "train_local.add_model",
            "kit.local.training",
        ),
    ),
    Step(
        "The ensemble",
        "`nox -s ensemble`, and every step that reads `ensemble.json`.",
        (
            "train_local.ensemble",
            "kit.ensemble",
            "kit.local.ensemble_check",
            "kit.local.calibration_fit",
            "kit.local.costs",
            "kit.plan",
        ),
    ),
    Step("Networks at work", "When images are predicted, here or on Kaggle.", ("kit.inference",)),
    Step(
        "The bundle",
        "`nox -s bundle`, `gate`, `native` and `lock`.",
        (
            "bundle",
            "kit.manifest",
            "kit.local.lockfile",
            "kit.local.member_check",
            "kit.local.targets",
            "kit.local.interpreters",
            "kit.local.uv",
        ),
    ),
    Step("An image's description", "`nox -s probe`, and `--target`.", ("bundle.probe",)),
    Step(
        "Kaggle's side",
        "`nox -s upload`, and all that speaks with Kaggle: credentials, names, answers.",
        ("bundle.upload", "kit.local.kaggle", "kit.local.kaggle_names", "kit.local.kaggle_limits"),
    ),
    Step(
        "predict.py on Kaggle",
        "What stands in the log of a run. A line that begins with PROBLEM is also in `report.json`.",
        ("submission.runtime",),
    ),
    Step(
        "Rendering, rehearsing and reporting",
        "`nox -s render`, `rehearse` and `report`.",
        (
            "submission.render",
            "submission.modules",
            "submission.member_files",
            "submission.rehearse",
            "submission.rehearsal",
            "submission.report",
            "kit.local.offline",
            "kit.local.pages",
        ),
    ),
    Step("Submitting", "`nox -s submit` and `submissions`.", ("submission.submit",)),
)


def step_of(module: str) -> Step:
    """Return the step in which people meet the messages of a module; the longest prefix of its name decides.

    Raises:
        LookupError: no step has the module's package.
    """
    fitting = [
        (len(prefix), step)
        for step in STEPS
        for prefix in step.modules
        if module == prefix or module.startswith(f"{prefix}.")
    ]
    if not fitting:
        raise LookupError(f"no step of {__name__} has {module}")
    return max(fitting, key=lambda item: item[0])[1]
