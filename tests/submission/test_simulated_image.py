import json
import subprocess
import sys

import pytest

from kit.errors import KitError
from submission.simulated_image import choose_target, find_python, make_image, pins, requirements

OWN = ".".join(map(str, sys.version_info[:2]))
TARGET = {"name": "tiny", "tag": "cp399", "since": "2026-01", "image_has": {"six": None, "packaging": "26.0"}}


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


def test_the_newest_description_of_a_python_is_taken(tmp_path):
    for name, tag, since in (("a", "cp313", "2026-10"), ("b", "cp313", "2026-11"), ("c", "cp312", "2026-12")):
        value = {"name": name, "tag": tag, "since": since, "image_has": {}}
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    assert choose_target(tmp_path, "3.13")["name"] == "b"
    with pytest.raises(KitError, match="no description of an image with cp311"):
        choose_target(tmp_path, "3.11")


def test_what_the_description_leaves_open_is_pinned_by_the_lock(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made by\nsix==1.17.0 \\\n    --hash=sha256:00\n"
        "numpy==2.4.0 ; python_version < '3.12' \\\n    --hash=sha256:01\n"
        "packaging==26.0 \\\n    --hash=sha256:02\n"
    )
    assert requirements(TARGET) == ["packaging==26.0", "six"]
    assert pins(lock, TARGET["image_has"]) == ["six==1.17.0", "numpy==2.4.0 ; python_version < '3.12'"]
    assert pins(lock, {"packaging": "25.0"}) == [], "the lock is of another time than the image"
    assert pins(tmp_path / "absent", {}) == []


def test_an_environment_is_made_once_and_again_when_somebody_changed_it(tmp_path):
    target = {**TARGET, "image_has": {}}
    _, python = find_python((OWN,))
    image = make_image(target, python, tmp_path, tmp_path / "no.lock")
    assert image.packages == {}
    assert image.version.startswith(OWN)
    (folder,) = tmp_path.iterdir()
    marker = folder / "marker"
    marker.touch()
    assert make_image(target, python, tmp_path, tmp_path / "no.lock") == image
    assert marker.exists()
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "intruder-1.0.dist-info").mkdir()
    (site / "intruder-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: intruder\nVersion: 1.0\n"
    )
    assert make_image(target, python, tmp_path, tmp_path / "no.lock") == image
    assert not marker.exists()


def test_an_environment_that_imports_our_code_is_refused(tmp_path):
    target = {**TARGET, "image_has": {}}
    _, python = find_python((OWN,))
    make_image(target, python, tmp_path, tmp_path / "no.lock")
    site = next(tmp_path.glob("*/lib/python*/site-packages"))
    (site / "mmcv.py").touch()
    with pytest.raises(KitError, match="the simulated image imports mmcv, which no Kaggle image has"):
        make_image(target, python, tmp_path, tmp_path / "no.lock")
