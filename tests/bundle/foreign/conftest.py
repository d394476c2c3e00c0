"""Foreign sources for the tests: they need no index, because each brings its own build backend."""

import os

import pytest

from tests.bundle.foreign_projects import git, write_project


@pytest.fixture(autouse=True)
def no_index(monkeypatch):
    """A build that asked for a package would fail at once instead of using the network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "my_models")


@pytest.fixture
def repo(tmp_path):
    """A repository with one commit on main, and a tag."""
    folder = write_project(tmp_path / "repo")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "-a", "v1.0", "-m", "release")
    return folder


@pytest.fixture
def listed(tmp_path):
    """Write foreign.in; returns its path."""

    def write(*lines):
        path = tmp_path / "foreign.in"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write
