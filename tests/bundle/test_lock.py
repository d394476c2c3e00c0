"""`python -m bundle lock` with a requirements file small enough to resolve in seconds, on the real index."""

import sys

import pytest

from bundle import lock
from kit.errors import KitError
from kit.local import lockfile

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements.in"
    path.write_text("six==1.16.0\n")
    return path


def test_a_lock_is_made_resumed_and_kept_stable(requirements, tmp_path, capfd):
    out, work = tmp_path / "requirements.lock", tmp_path / "work"
    [pin] = lock.lock(requirements, out, work=work, pythons=[HERE])
    assert (pin.name, pin.version, pin.via) == ("six", "1.16.0", ("requirements.in",))
    text = out.read_text()
    assert text.startswith("# Made by: python -m bundle lock\n")
    assert str(tmp_path) not in text
    assert "://" not in text

    # Killed after the last Python was resolved: what is done is kept, nothing is resolved again.
    out.unlink()
    capfd.readouterr()
    lock.lock(requirements, out, work=work, pythons=[HERE])
    assert "done before, kept" in capfd.readouterr().err
    assert out.read_text() == text

    # Looser requirements do not move a pin that still fits ...
    requirements.write_text("six>=1.15\n")
    assert lock.lock(requirements, out, work=work, pythons=[HERE])[0].version == "1.16.0"

    # ... and impossible ones say which.
    requirements.write_text("six==1.16.0\nsix>1.16\n")
    with pytest.raises(KitError, match=f"no set of versions fits on Python {HERE}") as error:
        lock.lock(requirements, out, work=work, pythons=[HERE])
    assert "Cannot install six==1.16.0 and six>1.16" in str(error.value)
    assert "Traceback" not in str(error.value)
    assert out.read_text() == text


def test_a_python_that_is_not_there_is_named(requirements, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with pytest.raises(KitError, match=r"no Python 3\.99 is installed") as error:
        lock.lock(requirements, tmp_path / "out", work=tmp_path / "work", pythons=["3.99"])
    assert "uv python install" in str(error.value)


NO_WHEEL = """\
ERROR: Could not find a version that satisfies the requirement docopt>=0.6.2{0} (from versions: none)
Traceback (most recent call last):
pip._internal.exceptions.DistributionNotFound: No matching distribution found for docopt>=0.6.2{0}
"""


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (
            NO_WHEEL.format(" (from num2words)"),
            ["docopt>=0.6.2, which num2words needs, has no wheel for Python 3.12", "leave num2words out"],
        ),
        (NO_WHEEL.format(""), ["docopt>=0.6.2 has no wheel for Python 3.12", "`python -m bundle wheel`"]),
        (NO_WHEEL.format(" (from -r requirements.in (line 3))"), ["docopt>=0.6.2 has no wheel", "its name"]),
        (NO_WHEEL.format("").replace("none", "1.0, 2.0"), ["no set of versions fits", "loosen"]),
        (
            "WARNING: Retrying ... ProxyError('Cannot connect to proxy.')" + NO_WHEEL.format(""),
            ["the package index cannot be reached", "HTTPS_PROXY"],
        ),
    ],
    ids=["needed by another", "the user's own", "the user's line", "other versions", "no network"],
)
def test_what_pip_compile_says_becomes_advice_that_fits(output, said, requirements):
    error = str(lock._complaint("3.12", output, requirements))
    assert all(text in error for text in said), error
    assert ("loosen" in error) == ("loosen" in str(said))


def test_a_package_that_needs_one_without_wheels_is_told_by_name(tmp_path):
    (tmp_path / "requirements.in").write_text("num2words==0.5.14\n")
    with pytest.raises(KitError, match=r"docopt>=0\.6\.2, which num2words needs, has no wheel for Python"):
        lock.lock(tmp_path / "requirements.in", tmp_path / "out", work=tmp_path / "work", pythons=[HERE])


def test_missing_requirements_are_named(tmp_path):
    with pytest.raises(KitError, match="the file with the requirements is missing"):
        lock.lock(tmp_path / "requirements.in", tmp_path / "out", work=tmp_path / "work")


def test_check_names_the_requirement_a_lock_lacks(requirements, tmp_path):
    out = tmp_path / "requirements.lock"
    pin = lockfile.Pin(name="six", version="1.15.0", hashes=("0" * 64,))
    out.write_text(lockfile.render([pin], command=lock.COMMAND))
    with pytest.raises(KitError, match=r"does not fulfil these requirements on Python 3\.11: six==1\.16\.0"):
        lock.check(requirements, out)
    requirements.write_text("six\n")
    lock.check(requirements, out)
