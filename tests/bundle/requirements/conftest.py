"""Tiny wheels in a folder that stands for the index, with which real bundles of wheels are built."""

import pytest

from tests.bundle.datasets.conftest import Index, index

__all__ = ["Index", "index"]


@pytest.fixture
def requirements(tmp_path):
    """Write a requirements file; returns its path."""

    def write(*lines, name="requirements.txt"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write
