import os
import subprocess
import sys

import pytest

from kit.errors import KitError
from kit.local import interpreters
from kit.local.interpreters import find_python

OWN = ".".join(map(str, sys.version_info[:2]))


def test_the_newest_interpreter_is_found_and_is_of_that_version():
    version, python = find_python()
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    assert (
        subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == version
    )


def test_a_wish_for_an_older_one_is_followed():
    assert find_python((OWN,))[0] == OWN


def test_without_any_the_fix_is_told():
    with pytest.raises(KitError, match=r"no Python 3\.99 is installed") as caught:
        find_python(("3.99",))
    assert "uv python install" in str(caught.value)


def test_pyenv_and_path_are_searched_and_what_fails_is_passed_over(tmp_path, monkeypatch):
    def command(name, text):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    command("pyenv", "echo 3.13.7; echo 2.7.18")
    # A shim answers only for a version that PYENV_VERSION names, as pyenv's do.
    command("python3.13", '[ "$PYENV_VERSION" = 3.13.7 ] && echo 3.13 /somewhere/python')
    command("python3.12", "echo 3.10 /usr/bin/python3.10")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "none"))
    assert find_python(("3.13",)) == ("3.13", "/somewhere/python")


def test_uvs_own_pythons_are_found(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {sys.executable}\n")
    uv.chmod(0o755)
    monkeypatch.setattr(interpreters, "find_uv", lambda: str(uv))
    monkeypatch.setattr(sys, "version_info", (2, 7))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert find_python((OWN,)) == (OWN, sys.executable)
    assert os.environ["PATH"] == str(tmp_path / "empty")
