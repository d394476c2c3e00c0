"""Writes tiny folders in the layout of three public competitions, with JPEG, PNG and DICOM images."""

import csv
import io

import numpy as np

from tests.kit.images.coded_files import dicom, jpeg, png

HEIGHT, WIDTH = 8, 12
TRAIN, TEST = ("aa1", "bb2"), ("cc3", "dd4")
KINDS = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")


def table(path, header, rows):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([header, *rows])
    path.write_text(stream.getvalue())


def pairs(mask_HW, order):
    """Run lengths as the competitions' pages define them, by another way than the kit's: pixel by pixel."""
    flat = mask_HW.T.ravel() if order == "columns" else mask_HW.ravel()
    found, start = [], None
    for number, value in enumerate([*flat.tolist(), False], start=1):
        if value and start is None:
            start = number
        elif not value and start is not None:
            found += [start, number - start]
            start = None
    return " ".join(map(str, found))


def box(top, left, bottom, right):
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[top:bottom, left:right] = True
    return mask_HW


DEFECTS = {"aa1": {3: box(0, 0, 2, 3)}, "bb2": {}, "cc3": {1: box(1, 1, 5, 3), 4: box(5, 6, 8, 9)}, "dd4": {}}
"""Image -> class -> mask; two images have none."""
CELLS = {
    "aa1": [box(0, 0, 3, 3), box(2, 2, 5, 5)],  # the truth may overlap
    "bb2": [box(4, 4, 6, 6)],
    "cc3": [box(0, 0, 2, 5), box(4, 0, 8, 3)],
    "dd4": [box(0, 8, 4, 12)],
}
BLEEDING = {
    "aa1": [0, 0, 0, 0, 0, 0],
    "bb2": [0, 1, 0, 0, 1, 1],
    "cc3": [0, 0, 0, 1, 0, 1],
    "dd4": [0, 0, 0, 0, 0, 0],
}
GREY_HW = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) * 2).astype(np.uint8)


def severstal(root):
    for folder, ids in (("train_images", TRAIN), ("test_images", TEST)):
        (root / folder).mkdir(parents=True)
        for image in ids:
            (root / folder / f"{image}.jpg").write_bytes(jpeg(np.repeat(GREY_HW[..., None], 3, axis=2)))
    header = ("ImageId", "ClassId", "EncodedPixels")
    for name, ids in (("train.csv", TRAIN), ("solution.csv", TEST)):
        rows = [(f"{i}.jpg", n, pairs(mask, "columns")) for i in ids for n, mask in DEFECTS[i].items()]
        table(root / name, header, rows)
    ids = [f"{image}.jpg_{number}" for image in TEST for number in (1, 2, 3, 4)]
    table(
        root / "sample_submission.csv", ("ImageId_ClassId", "EncodedPixels"), [(name, "1 1") for name in ids]
    )


def sartorius(root):
    for folder, ids in (("train", TRAIN), ("test", TEST)):
        (root / folder).mkdir(parents=True)
        for image in ids:
            (root / folder / f"{image}.png").write_bytes(png(GREY_HW[..., None]))
    header = ("id", "annotation", "width", "height", "cell_type")
    for name, ids in (("train.csv", TRAIN), ("solution.csv", TEST)):
        rows = [(i, pairs(mask, "rows"), WIDTH, HEIGHT, "cort") for i in ids for mask in CELLS[i]]
        table(root / name, header, rows)
    table(root / "sample_submission.csv", ("id", "predicted"), [(image, "1 1") for image in TEST])


def rsna(root):
    for folder, ids in (("stage_2_train", TRAIN), ("stage_2_test", TEST)):
        (root / folder).mkdir(parents=True)
        for image in ids:
            samples_HW = GREY_HW.astype(np.int16) - 100
            data = dicom(samples_HW, RescaleSlope=1, RescaleIntercept=0, WindowCenter=40, WindowWidth=80)
            (root / folder / f"ID_{image}.dcm").write_bytes(data)
    for name, ids in (("stage_2_train.csv", TRAIN), ("solution.csv", TEST)):
        rows = [
            (f"ID_{image}_{kind}", value)
            for image in ids
            for kind, value in zip(KINDS, BLEEDING[image], strict=True)
        ]
        # The real table has some slices twice.
        table(root / name, ("ID", "Label"), rows + rows[:6] if name.startswith("stage") else rows)
    # The real sample goes through the kinds in another order than the page.
    rows = [(f"ID_{image}_{kind}", 0.5) for image in TEST for kind in reversed(KINDS)]
    table(root / "stage_2_sample_submission.csv", ("ID", "Label"), rows)


FOLDERS = {"severstal": severstal, "sartorius": sartorius, "rsna-hemorrhage": rsna}
