"""How the golden images were made: crops of the sample's held-out images, in layouts readers get wrong.

    nox -s golden -- --make images

They are committed, so nobody has to run this; after running it, `--make expected` has to be run, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

HERE = Path(__file__).parent
SAMPLE = HERE.parent.parent / "sample"
OPTIONS = {"compression": "deflate", "predictor": True, "metadata": None}
GLASS = 215


def kidney() -> None:
    """Two crops of one region: tiled and interleaved, beside glass; channel-first, in strips, of odd size."""
    with tifffile.TiffFile(SAMPLE / "kidney" / "test" / "1015.tiff") as pages:
        region_HWC = np.stack([page.asarray() for page in pages.pages], axis=-1)
    out = HERE / "kidney" / "data" / "test"
    out.mkdir(parents=True, exist_ok=True)
    first_HWC, second_HWC = region_HWC[300:680, 500:1020], region_HWC[610:911, 1300:1689]
    on_glass_HWC = np.full((len(first_HWC), 1100, 3), GLASS, np.uint8)
    on_glass_HWC[:, : first_HWC.shape[1]] = first_HWC
    tifffile.imwrite(out / "interleaved.tiff", on_glass_HWC, photometric="rgb", tile=(128, 128), **OPTIONS)
    planes_CHW: NDArray[np.uint8] = np.ascontiguousarray(second_HWC.transpose(2, 0, 1))
    tifffile.imwrite(
        out / "planar.tiff",
        planes_CHW,
        photometric="rgb",
        planarconfig="separate",
        rowsperstrip=64,
        **OPTIONS,
    )
    (out.parent / "sample_submission.csv").write_text("id,predicted\ninterleaved,\nplanar,\n")


def vasculature() -> None:
    """Three tiles, one of each stain group, the last one cut to an odd size."""
    out = HERE / "vasculature" / "data" / "test"
    out.mkdir(parents=True, exist_ok=True)
    rows = ["id,height,width,prediction_string"]
    for name, (height, width) in {
        "0121d6759c5a": (256, 320),
        "65c8527c16a0": (256, 320),
        "f952cc653760": (201, 255),
    }.items():
        image_HWC = tifffile.imread(SAMPLE / "vasculature" / "test" / f"{name}.tif")[:height, :width]
        tifffile.imwrite(out / f"{name}.tif", image_HWC, photometric="rgb", **OPTIONS)
        rows.append(f"{name},{height},{width},")
    (out.parent / "sample_submission.csv").write_text("\n".join(rows) + "\n")


def make() -> None:
    """Write the images and sample submissions of both golden ensembles."""
    kidney()
    vasculature()
