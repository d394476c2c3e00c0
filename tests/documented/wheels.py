"""Only the wheels: README's commands and those of docs/wheels.md, with two packages of the index."""

import contextlib

from tests.bundle.foreign_projects import git, write_project
from tests.documented.walks import Step, Walk
from tests.kaggle_server.server import REMOVED, Server
from tests.kaggle_server.world import World

_PATIENCE = ("--patience", "30")
_ONE_IMAGE = ("--target", "kaggle-2026-10")
_COMMIT = "git+https://host/repo.git@COMMIT"


@contextlib.contextmanager
def services(folder):
    """A loopback Kaggle; a requirements file, a package, and a repository with another one, `$PACKAGE`."""
    (folder / "kit" / "requirements.txt").write_text("addict\npyyaml>=6  # compiled\nnumpy>=1.26\n")
    write_project(folder / "kit" / "my_models")
    repository = write_project(folder / "repo", name="their-models")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "first")):
        git(repository, *arguments)
    commit = git(repository, "rev-parse", "HEAD").strip()
    (folder / "home").mkdir()
    with Server(World()) as server:
        variables = dict.fromkeys(REMOVED) | server.environment(folder / "home")
        yield variables | {"PACKAGE": f"git+file://{repository}@{commit}"}


ALL = Walk(
    "wheels",
    (
        Step("nox -s bundle -- --requirements requirements.txt", r"install\.py", more=_ONE_IMAGE),
        Step("nox -s rehearse -- --install", "all imported"),
        Step("nox -s gate -- --bundle dist/wheels", r"3\.13"),
        Step(
            f"nox -s bundle -- --requirements requirements.txt --package ./my_models --package {_COMMIT}",
            "their-models",
            {_COMMIT: "$PACKAGE"},
            more=("--out", "dist/more", "--no-gate", *_ONE_IMAGE),
        ),
        Step("nox -s rehearse -- --install DIR", "all imported", {"DIR": "dist/more"}),
        Step("nox -s upload -- --bundle dist/wheels", "verified", more=_PATIENCE, with_service=True),
        Step(
            "nox -s upload -- --bundle DIR",
            "verified",
            {"DIR": "dist/wheels"},
            more=_PATIENCE,
            with_service=True,
        ),
    ),
    services,
)
