"""A bundle of tiny wheels and its install.py, made once; processes of other Pythons without a network."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundle.requirements.verb import Options, build
from kit.errors import KitError
from kit.local.interpreters import find_python
from kit.local.offline.kaggle_shape import mount_dataset
from submission.installer.render import render
from tests.bundle.datasets.conftest import Index
from tests.once import once

OWN = ".".join(map(str, sys.version_info[:2]))
TARGETS = ("kaggle-cp311-torch2.8", "kaggle-2026-09", "kaggle-2026-10")
TOOL = b"from helper import VALUE\n\n__version__ = '2.0'\n"


def make_bundle(folder: Path, name: str, *lines: str, version: str = "2.0") -> Path:
    """Tiny wheels as pip would find them on an index, and the bundle that their requirements file gives."""
    (folder / "index").mkdir(parents=True)
    index = Index(folder / "index")
    index.add("tool", version, requires=["helper>=1.5"], content=TOOL)
    index.add("helper", "1.6+local.1", content=b"VALUE = 7\n")
    for tag in ("cp311", "cp312", "cp313"):
        index.add("compiled", tag=f"{tag}-{tag}-manylinux_2_28_x86_64")
    index.add("broken", content=b"import nothing_has_this\n")
    path = folder / "requirements.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(folder / "index"))
        places = {"requirements": path, "out": folder / "out", "cache": folder / "cache"}
        build(Options(**places, name=name, targets=TARGETS))
    render(folder / "out", folder / "out" / "install.py")
    return folder / "out"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The folder of a bundle: `tiny-wheels`, install.py, install.ipynb. Read only, please."""

    def make(folder):
        make_bundle(folder, "tiny-wheels", "tool>=2", "compiled")

    return once(tmp_path_factory, "bundle-of-wheels", make) / "out"


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory):
    """Another bundle, of another version of the same dataset's name."""

    def make(folder):
        make_bundle(folder, "tiny-wheels", "tool>=2", version="2.1")

    return once(tmp_path_factory, "other-bundle-of-wheels", make) / "out"


@pytest.fixture(scope="session")
def python():
    """Return an interpreter by its version."""

    def find(version):
        try:
            return Path(find_python([version])[1])
        except KitError:
            pytest.skip(f"no Python {version} on this machine")

    return find


@pytest.fixture
def mounted(tmp_path, bundle):
    """Lay the dataset out as Kaggle mounts it; returns the input folder."""

    def mount(*, layout="new", archives="unpacked", dataset=None, root=None):
        root = root or tmp_path / "input"
        mount_dataset(root, dataset or bundle / "tiny-wheels", layout=layout, archives=archives)
        return root

    return mount


@pytest.fixture
def offline(tmp_path):
    """Run a command without a network and with nothing of ours on its path."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode:
        pytest.skip("this machine allows no network namespaces")
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "LANG": "C.UTF-8",
    }

    def run(*command, **variables):
        done = subprocess.run(
            ["unshare", "-rn", *map(str, command)],
            cwd=tmp_path,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def run_install(python, bundle, offline):
    """Run install.py, that of the bundle or another one, with a Python of this machine."""

    def run(*arguments, version=OWN, script=None):
        return offline(python(version), script or bundle / "install.py", *arguments)

    return run
