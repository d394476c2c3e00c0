import json
from pathlib import Path

import pytest

from submission.__main__ import main
from tests.browser.fixtures import chromium
from train_local.baseline import write_baseline

__all__ = ["chromium"]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def pages(tmp_path_factory, good_run):
    """Name -> page of a run with the images of a sample, predicted by Otsu's threshold."""
    made = {}
    for name in ("vasculature", "kidney"):
        folder = tmp_path_factory.mktemp(name)
        data = ROOT / "sample" / name
        run = json.loads((good_run.output / "report.json").read_text())
        run["ensemble"] = json.loads((ROOT / "tests" / "golden" / name / "ensemble.json").read_text())
        (folder / "report.json").write_text(json.dumps(run))
        write_baseline(name, data, folder / "submission.csv", "otsu")
        given = [
            "report",
            str(folder / "report.json"),
            "--data",
            str(data),
            "--out",
            str(folder / "page.html"),
        ]
        assert main(given) == 0
        made[name] = folder / "page.html"
    return made
