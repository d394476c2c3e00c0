import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from kit.errors import KitError
from kit.local import targets
from kit.local.interpreters import find_python
from kit.local.offline.simulated_image import (
    choose_target,
    constraints,
    make_image,
    requirements,
)
from tests.lock_holder import held_elsewhere

OWN = ".".join(map(str, sys.version_info[:2]))
(THIRTEEN,) = targets.choose(["kaggle-2026-10"], targets.known())
TARGET = replace(THIRTEEN, name="tiny", image_has={"six": None, "packaging": "26.0"}, freeze=None)
BARE = replace(TARGET, image_has={})


def test_the_newest_description_of_a_python_is_taken(tmp_path):
    for name, python, since in (("a", "3.13", "2026-10"), ("b", "3.13", "2026-11"), ("c", "3.12", "2026-12")):
        tag = "cp" + python.replace(".", "")
        value = asdict(replace(TARGET, name=name, python=python, tag=tag, since=since))
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    assert choose_target(tmp_path, "3.13").name == "b"
    with pytest.raises(KitError, match=r"no image with Python 3\.11 is described"):
        choose_target(tmp_path, "3.11")
    assert choose_target(None, "3.13") == THIRTEEN, "not the image of CPU sessions"


def test_what_the_description_leaves_open_is_fixed_by_the_lock(tmp_path):
    lock = tmp_path / "requirements.lock"
    digest = "0" * 64
    lock.write_text(
        f"# made by\nsix==1.17.0 \\\n    --hash=sha256:{digest}\n"
        f'numpy==2.4.0 ; python_version < "3.12" \\\n    --hash=sha256:{digest}\n'
        f'numpy==2.5.0 ; python_version >= "3.12" \\\n    --hash=sha256:{digest}\n'
        f"packaging==26.0 \\\n    --hash=sha256:{digest}\n"
    )
    assert requirements(TARGET) == ["packaging==26.0", "six"]
    assert constraints(lock, TARGET) == ["numpy==2.5.0", "six==1.17.0"]
    assert constraints(lock, replace(TARGET, image_has={"packaging": "25.0"})) == [], "of another time"
    assert constraints(tmp_path / "absent", TARGET) == []


def test_a_captured_freeze_tells_the_versions_that_were_open():
    frozen = replace(TARGET, freeze={"Six": "1.16.0+local", "packaging": "1.0", "never-asked": "3"})
    assert requirements(frozen) == ["packaging==26.0", "six==1.16.0"]


def test_an_environment_is_made_once_and_again_when_somebody_changed_it(tmp_path):
    _, python = find_python((OWN,))
    image = make_image(BARE, python, tmp_path, tmp_path / "no.lock")
    assert image.packages == {}
    assert image.version.startswith(OWN)
    (folder,) = tmp_path.glob("tiny-*/")
    marker = folder / "marker"
    marker.touch()
    assert make_image(BARE, python, tmp_path, tmp_path / "no.lock") == image
    assert marker.exists()
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "intruder-1.0.dist-info").mkdir()
    (site / "intruder-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: intruder\nVersion: 1.0\n"
    )
    assert make_image(BARE, python, tmp_path, tmp_path / "no.lock") == image
    assert not marker.exists()


MAKING = """
import sys
from pathlib import Path
from kit.local.offline.simulated_image import make_image
from tests.kit.local.offline.test_simulated_image import BARE
make_image(BARE, sys.argv[1], Path(sys.argv[2]), Path("no.lock"))
"""


def test_one_that_another_process_makes_is_waited_for_and_taken(tmp_path):
    _, python = find_python((OWN,))
    make_image(BARE, python, tmp_path, tmp_path / "no.lock")
    (folder,) = tmp_path.glob("tiny-*/")
    (folder / "marker").touch()
    with held_elsewhere(tmp_path / f"{folder.name}.lock"):
        command = [sys.executable, "-c", MAKING, python, str(tmp_path)]
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "waiting for process" in second.stdout.readline()
    assert second.wait() == 0, second.stdout.read()
    second.stdout.close()
    assert (folder / "marker").exists(), "it was made again"


def test_an_environment_that_imports_our_code_is_refused(tmp_path):
    _, python = find_python((OWN,))
    make_image(BARE, python, tmp_path, tmp_path / "no.lock")
    site = next(tmp_path.glob("*/lib/python*/site-packages"))
    (site / "mmcv.py").touch()
    with pytest.raises(KitError, match="the simulated image imports mmcv, which no Kaggle image has"):
        make_image(BARE, python, tmp_path, tmp_path / "no.lock")
