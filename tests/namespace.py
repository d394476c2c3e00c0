"""Commands in a mount namespace: what they mount, a disk of a few kilobytes say, is gone when they end."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def in_namespace():
    """Runs a command where a shell line may make mounts that end with it."""

    def run(setup: str, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", setup + '; exec "$@"', "sh", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=1200,
        )

    if shutil.which("unshare") is None or run("true", "true").returncode != 0:
        pytest.skip("this machine allows no mount namespaces")
    return run
