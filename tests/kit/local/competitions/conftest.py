import json
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from kit import competitions
from kit.__main__ import main
from kit.local.competitions.check import check
from kit.local.competitions.labelled import LabelledData
from kit.local.competitions.submission_files import write_submission
from kit.local.program import run_cli
from tests.kit.competitions.conftest import body, each, kidney, vasculature

__all__ = ["body", "case", "each", "kidney", "vasculature"]

HEIGHT, WIDTH = 64, 80
KINDS = {
    "semantic": '[submission]\nmask = "mask"\n[metric]\nname = "mean Dice"\n',
    "instance": '[submission]\nmask = "mask"\nencoding = "coco"\n[metric]\nname = "AP"\niou = 0.5\n',
}


class Case:
    """A competition of two training images and one to predict, 64 x 80 pixels, in a form of truth."""

    def __init__(self, root, kind, truth, train="train/{id}.tif", test="test/{id}.tif"):
        self.root, self.data, self.toml = root, root / "data", root / f"{kind}.toml"
        self.data.mkdir(exist_ok=True)
        head = f'name = "case"\nslug = "case-case"\nkind = "{kind}"\n'
        images = f'[images]\ntrain = "{train}"\ntest = "{test}"\n'
        self.toml.write_text(f"{head}{images}[truth]\n{truth}\n{KINDS[kind]}")
        self.write("sample_submission.csv", "id,mask\nt,\n")

    def images(self, *names):
        """Write an image under each name, TIFF whatever the suffix."""
        for seed, name in enumerate(names):
            pixels_HWC = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            path = self.data / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, pixels_HWC, photometric="rgb")
        return self

    def write(self, name, content):
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    @property
    def competition(self):
        return competitions.get(self.toml)

    def labelled(self):
        return LabelledData(self.competition, self.data)

    def findings(self, level=None):
        """What `prepare` says of the folder."""
        found = check(self.labelled()).findings
        return [str(item) for item in found if level in (None, item.level)]

    def run(self, verb, rows, *more):
        """Exit code of `python -m kit VERB` on a submission with these rows."""
        path = self.root / "submission.csv"
        write_submission(path, ("id", "mask"), [{"id": key, "mask": mask} for key, mask in rows.items()])
        where = ("--competition", str(self.toml), "--data", str(self.data), "--submission", str(path))
        return run_cli(main, [verb, *where, *more])


@pytest.fixture
def case(tmp_path):
    def make(kind, truth, *names, **paths):
        return Case(tmp_path, kind, truth, **paths).images(
            *(names or ("train/a.tif", "train/b.tif", "test/t.tif"))
        )

    return SimpleNamespace(make=make, height=HEIGHT, width=WIDTH)
