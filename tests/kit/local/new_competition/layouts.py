"""Writes tiny folders in the layouts of public competitions that differ in how they tell images and truth."""

import csv
import json
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from tests.kit.images.coded_files import dicom

HEIGHT, WIDTH = 30, 44
GREY_HW = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 251).astype(np.uint8)
ORGANS = ("large_bowel", "small_bowel", "stomach")
GRAMS = ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g")


def image(path: Path, form: str = "colour") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "dicom":
        path.write_bytes(dicom(GREY_HW.astype(np.int16), WindowCenter=100, WindowWidth=200))
    elif form == "deep":
        Image.fromarray(GREY_HW.astype(np.uint16) * 200).save(path)
    elif form == "stack":
        tifffile.imwrite(path, GREY_HW.astype(np.uint16) * 200)
    else:
        Image.fromarray(np.repeat(GREY_HW[..., None], 3, axis=2)).save(path)


def table(root: Path, name: str, header: str, rows) -> None:
    with (root / name).open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header.split(","), *rows])


def runs(top: int, left: int, bottom: int, right: int, order: str = "columns") -> str:
    """Run lengths of a rectangle."""
    mask_HW = np.zeros((HEIGHT, WIDTH), bool)
    mask_HW[top:bottom, left:right] = True
    flat = (mask_HW.T if order == "columns" else mask_HW).ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=0)).reshape(-1, 2)
    return " ".join(f"{start + 1} {end - start}" for start, end in edges.tolist())


def madison(root: Path, *, hidden: bool = False) -> None:
    """UW-Madison GI Tract: a row for each slice and organ; names of slices end with sizes that ids lack."""
    rows, sample = [], []
    for case, day in (("case123", "day20"), ("case123", "day22"), ("case77", "day20")):
        for number in (1, 2, 3):
            name = f"slice_{number:04}_266_{266 + number}_1.50_1.5{number}.png"
            image(root / "train" / case / f"{case}_{day}" / "scans" / name, "deep")
            rows += [
                (f"{case}_{day}_slice_{number:04}", organ, runs(3, 5, 20, 30, "rows") if number == 2 else "")
                for organ in ORGANS
            ]
    for number in () if hidden else (1, 2):
        name = f"slice_{number:04}_266_266_1.50_1.5{number}.png"
        image(root / "test" / "case9" / "case9_day1" / "scans" / name, "deep")
        sample += [(f"case9_day1_slice_{number:04}", organ, "") for organ in ORGANS]
    table(root, "train.csv", "id,class,segmentation", rows)
    table(root, "sample_submission.csv", "id,class,predicted", sample)


def madison_without_test(root: Path) -> None:
    """The same as it is downloaded: no test images, a sample without rows."""
    madison(root, hidden=True)


def breasts(root: Path) -> None:
    """RSNA Screening Mammography: a row for each side of a patient, whose images lie in a folder."""
    rows = []
    for part, patients in (("train", (10006, 10011, 10025, 10038)), ("test", (10008,))):
        for patient in patients:
            for number, (side, view) in enumerate((s, v) for s in "LR" for v in ("CC", "MLO")):
                image(root / f"{part}_images" / str(patient) / f"{patient * 7 + number}.dcm", "dicom")
                sick = int(patient % 3 == 0 and side == "L")
                rows.append((part, 2, patient, patient * 7 + number, side, view, sick))
    table(
        root,
        "train.csv",
        "site_id,patient_id,image_id,laterality,view,cancer",
        [row[1:] for row in rows if row[0] == "train"],
    )
    table(root, "sample_submission.csv", "prediction_id,cancer", [("10008_L", 0.02), ("10008_R", 0.02)])


def wheat(root: Path) -> None:
    """Global Wheat Detection: a row for each box, four numbers in a cell; no row for images without boxes."""
    rows = []
    for name in ("b6ab77fd7", "b53afdf5c", "91c9d9c38"):
        image(root / "train" / f"{name}.jpg")
        if name != "91c9d9c38":
            rows += [
                (name, WIDTH, HEIGHT, f"[{4.0 + 9 * n}, {3.0 + n}, 8.0, 12.0]", "usask") for n in (0, 1, 2)
            ]
    for name in ("aac893a91", "51f1be19e"):
        image(root / "test" / f"{name}.jpg")
    table(root, "train.csv", "image_id,width,height,bbox,source", rows)
    sample = [(name, "1.0 0 0 40 20") for name in ("aac893a91", "51f1be19e")]
    table(root, "sample_submission.csv", "image_id,PredictionString", sample)


def pneumonia(root: Path) -> None:
    """RSNA Pneumonia Detection: a row for each box, its numbers in columns; empty ones for healthy lungs."""
    for part, names in (("train", ("0004", "0031", "0032")), ("test", ("2392", "2036"))):
        for name in names:
            image(root / f"stage_2_{part}_images" / f"{name}.dcm", "dicom")
    boxes = [
        ("0031", 5.0, 6.0, 11.0, 12.0, 1),
        ("0032", 4.0, 6.0, 8.0, 9.0, 1),
        ("0032", 25.0, 6.0, 9.5, 8.0, 1),
    ]
    rows = [("0004", "", "", "", "", 0), *boxes]
    table(root, "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", rows)
    sample = [(name, "0.5 0 0 40 20") for name in ("2392", "2036")]
    table(root, "stage_2_sample_submission.csv", "patientId,PredictionString", sample)


def chests(root: Path) -> None:
    """VinBigData: boxes with classes and far corners; class 14 without a box means that nothing was found."""
    rows = []
    for number in range(4):
        image(root / "train" / f"{number:032x}.dicom", "dicom")
        if number:
            rows.append((f"{number:032x}", "Cardiomegaly", 3, "R10", 5, 6, 20, 25))
            rows.append((f"{number:032x}", "Aortic enlargement", 0, "R9", 25, 6, 40, 25))
        else:
            rows += [(f"{number:032x}", "No finding", 14, reader, "", "", "", "") for reader in ("R1", "R2")]
    sample = [(f"{number:032x}", "14 1 0 0 1 1") for number in (50, 51)]
    for name, _ in sample:
        image(root / "test" / f"{name}.dicom", "dicom")
    table(root, "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", rows)
    table(root, "sample_submission.csv", "image_id,PredictionString", sample)


def starfish(root: Path) -> None:
    """Great Barrier Reef: frames of videos; all boxes of a frame in a cell, as dictionaries."""
    rows = []
    boxes = "[{'x': 5, 'y': 6, 'width': 20, 'height': 15}, {'x': 30, 'y': 2, 'width': 9, 'height': 9}]"
    for video in (0, 1):
        for frame in (0, 7, 14):
            image(root / "train_images" / f"video_{video}" / f"{frame}.jpg")
            rows.append((video, 40258, frame, f"{video}-{frame}", boxes if frame else "[]"))
    image(root / "test_images" / "video_5" / "3.jpg")
    table(root, "train.csv", "video_id,sequence,video_frame,image_id,annotations", rows)
    table(root, "sample_submission.csv", "image_id,annotations", [("5-3", "0.5 0 0 9 9")])


def lungs(root: Path) -> None:
    """SIIM-ACR Pneumothorax: folders with long names, -1 for no mask, two rows for few images."""
    rows = []
    for number in range(6):
        name = f"1.2.276.0.7230010.3.1.4.83.{number}"
        image(root / "dicom-images-train" / f"1.2.3.{number}" / f"1.2.4.{number}" / f"{name}.dcm", "dicom")
        rows.append((name, runs(4, 5, 20, 30) if number < 4 else "-1"))
    rows.append(("1.2.276.0.7230010.3.1.4.83.3", runs(22, 33, 28, 40)))
    for number in range(2):
        name = f"1.2.276.0.7230010.3.1.4.99.{number}"
        image(root / "dicom-images-test" / f"1.2.5.{number}" / f"1.2.6.{number}" / f"{name}.dcm", "dicom")
    table(root, "train-rle.csv", "ImageId, EncodedPixels", rows)
    sample = [(f"1.2.276.0.7230010.3.1.4.99.{number}", "-1") for number in range(2)]
    table(root, "sample_submission.csv", "ImageId,EncodedPixels", sample)


def nuclei(root: Path) -> None:
    """Data Science Bowl 2018: a row for each nucleus, a sample with empty cells, masks beside the images."""
    rows = []
    for number in range(3):
        name = f"{number:016x}"
        image(root / "stage1_train" / name / "images" / f"{name}.png")
        for place in (2, 12, 22):
            rows.append((name, runs(place, 5, place + 7, 30)))
            image(root / "stage1_train" / name / "masks" / f"{name}{place}.png")
    for number in (50, 51):
        image(root / "stage1_test" / f"{number:016x}" / "images" / f"{number:016x}.png")
    table(root, "stage1_train_labels.csv", "ImageId,EncodedPixels", rows)
    sample = [(f"{number:016x}", "") for number in (50, 51)]
    table(root, "stage1_sample_submission.csv", "ImageId,EncodedPixels", sample)


def biomass(root: Path) -> None:
    """CSIRO Biomass: a row for each target, ids with "__" in them, more columns in the truth."""
    rows, sample = [], []
    for number in range(4):
        name = f"ID10118{number}7627"
        image(root / "train" / f"{name}.jpg")
        rows += [(f"{name}__{gram}", f"train/{name}.jpg", "Tas", gram, 1.5 + number) for gram in GRAMS]
    for number in range(2):
        name = f"ID100118762{number}"
        image(root / "test" / f"{name}.jpg")
        sample += [(f"{name}__{gram}", 0.0) for gram in GRAMS]
    table(root, "train.csv", "sample_id,image_path,State,target_name,target", rows)
    table(root, "sample_submission.csv", "sample_id,target", sample)


def planet(root: Path) -> None:
    """Planet: tags with blanks between them."""
    tags = ["clear primary", "haze primary water", "clear agriculture primary road", "cloudy"]
    for number in range(4):
        image(root / "train-jpg" / f"train_{number}.jpg")
    for number in range(2):
        image(root / "test-jpg" / f"test_{number}.jpg")
    table(root, "train_v2.csv", "image_name,tags", [(f"train_{n}", text) for n, text in enumerate(tags)])
    sample = [(f"test_{number}", "primary clear agriculture road water") for number in range(2)]
    table(root, "sample_submission_v2.csv", "image_name,tags", sample)


def grades(root: Path) -> None:
    """APTOS: a grade for each image."""
    for number in range(6):
        image(root / "train_images" / f"{number:012x}.png")
    for number in (99, 100):
        image(root / "test_images" / f"{number:012x}.png")
    table(root, "train.csv", "id_code,diagnosis", [(f"{n:012x}", n % 5) for n in range(6)])
    table(root, "sample_submission.csv", "id_code,diagnosis", [(f"{n:012x}", 0) for n in (99, 100)])


def leaves(root: Path) -> None:
    """Plant Pathology: training and test images in one folder."""
    for name in [*(f"Train_{n}" for n in range(4)), "Test_0", "Test_1"]:
        image(root / "images" / f"{name}.jpg")
    header = "image_id,healthy,rust,scab"
    table(root, "train.csv", header, [(f"Train_{n}", *(int(n % 3 == k) for k in range(3))) for n in range(4)])
    table(root, "sample_submission.csv", header, [(f"Test_{n}", 0.25, 0.25, 0.25) for n in range(2)])


def whales(root: Path) -> None:
    """Happywhale: up to five names of an individual, the best first."""
    who = ["cadddb1636b9", "1a71fbb72250", "60008f293a2b", "cadddb1636b9"]
    for number in range(4):
        image(root / "train_images" / f"{number:014x}.jpg")
    for number in (70, 71):
        image(root / "test_images" / f"{number:014x}.jpg")
    rows = [(f"{number:014x}.jpg", "dusky_dolphin", name) for number, name in enumerate(who)]
    table(root, "train.csv", "image,species,individual_id", rows)
    sample = [(f"{number:014x}.jpg", "cadddb1636b9 1a71fbb72250") for number in (70, 71)]
    table(root, "sample_submission.csv", "image,predictions", sample)


def seedlings(root: Path) -> None:
    """Plant Seedlings: the folder is the species; the table is what docs/images.md writes."""
    for number, species in enumerate(["Black-grass", "Charlock", "Sugar beet"] * 2):
        image(root / "train" / species / f"{number:09x}.png")
    for number in (60, 61):
        image(root / "test" / f"{number:09x}.png")
    rows = [(path.name, path.parent.name) for path in sorted((root / "train").glob("*/*.png"))]
    table(root, "train.csv", "file,species", rows)
    sample = [(f"{number:09x}.png", "Sugar beet") for number in (60, 61)]
    table(root, "sample_submission.csv", "file,species", sample)


def traps(root: Path) -> None:
    """iWildCam: the number of a class, in a column that the submission calls otherwise."""
    for number in range(6):
        image(root / "train_images" / f"{number:08x}-21bc.jpg")
    for number in (90, 91):
        image(root / "test_images" / f"{number:08x}-21bc.jpg")
    rows = [((0, 2, 372)[n % 3], f"{n:08x}-21bc.jpg", n % 2) for n in range(6)]
    table(root, "train.csv", "category_id,file_name,frame_num", rows)
    table(root, "sample_submission.csv", "Id,Predicted", [(f"{n:08x}-21bc", 0) for n in (90, 91)])


def cells(root: Path) -> None:
    """A COCO file as the truth, and all instances of an image in a cell."""
    for part, names in (("train", "ab"), ("test", "cd")):
        for name in names:
            image(root / part / f"{name}.png")
    polygon = [[2, 2, 20, 2, 20, 20, 2, 20]]
    listed = [
        {"id": n, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH} for n, name in enumerate("ab")
    ]
    drawn = [
        {"id": n, "image_id": n, "category_id": n, "segmentation": polygon, "iscrowd": 0} for n in (0, 1)
    ]
    names = [{"id": 0, "name": "cell"}, {"id": 1, "name": "debris"}]
    value = {"images": listed, "annotations": drawn, "categories": names}
    (root / "annotations.json").write_text(json.dumps(value))
    (root / "licence.json").write_text("{}")
    table(root, "sample_submission.csv", "id,predicted", [("c", ""), ("d", "")])


def vessels(root: Path) -> None:
    """Hacking the Human Vasculature: polygons in JSON lines beside a table that tells of tiles."""
    for part, names in (("train", "ab"), ("test", "c")):
        for name in names:
            image(root / part / f"{name}.tif")
    types = {"a": "blood_vessel", "b": "unsure"}
    ring = [[[2, 2], [20, 2], [20, 20], [2, 20]]]
    lines = [{"id": i, "annotations": [{"type": kind, "coordinates": ring}]} for i, kind in types.items()]
    (root / "polygons.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table(root, "tile_meta.csv", "id,source_wsi,i,j", [("a", 1, 0, 0), ("b", 2, 0, 512)])
    sample = [("c", HEIGHT, WIDTH, "0 1.0 eNoLTDAwyrM0TfEMCAA3eQ4a")]
    table(root, "sample_submission.csv", "id,height,width,prediction_string", sample)


def moles(root: Path) -> None:
    """ISIC 2020: folders of the parts below that of the format, DICOM beside them, patients in a column."""
    for number in range(6):
        image(root / "jpeg" / "train" / f"ISIC_{number:07}.jpg")
        image(root / "train" / f"ISIC_{number:07}.dcm", "dicom")
    for number in (90, 91):
        image(root / "jpeg" / "test" / f"ISIC_{number:07}.jpg")
    header = "image_name,patient_id,image_width,image_height,target"
    rows = [(f"ISIC_{n:07}", f"IP_{n // 2}", WIDTH, HEIGHT, n % 2) for n in range(6)]
    table(root, "train.csv", header, rows)
    table(root, "sample_submission.csv", "image_name,target", [(f"ISIC_{n:07}", 0) for n in (90, 91)])


def spines(root: Path) -> None:
    """RSNA Lumbar Spine: a row for each level of a study, with three probabilities in it."""
    for part, study in (("train", 11), ("train", 12), ("test", 44)):
        for number in (1, 2):
            image(root / f"{part}_images" / str(study) / "7" / f"{number}.dcm", "dicom")
    table(root, "train.csv", "study_id,canal_l1,canal_l2", [(11, "Severe", "Mild"), (12, "Mild", "Mild")])
    sample = [(f"44_{level}", 0.3, 0.3, 0.3) for level in ("canal_l1", "canal_l2")]
    table(root, "sample_submission.csv", "row_id,normal_mild,moderate,severe", sample)


def ink(root: Path) -> None:
    """Vesuvius: a mask for a whole stack of slices."""
    for part, names in (("train", "12"), ("test", "ab")):
        for name in names:
            for slice_ in range(3):
                image(root / part / name / "surface_volume" / f"{slice_:02}.tif", "stack")
            image(root / part / name / "mask.png")
    table(root, "sample_submission.csv", "Id,Predicted", [("a", "1 1 5 1"), ("b", "1 1 5 1")])


def contrails(root: Path) -> None:
    """Contrails: arrays of numpy."""
    for name in ("train/01", "test/02"):
        (root / name).mkdir(parents=True)
        np.save(root / name / "band_08.npy", np.zeros((4, 4, 8), np.float32))
    (root / "train_metadata.json").write_text(json.dumps([]))
    table(root, "sample_submission.csv", "record_id,encoded_pixels", [("02", "-")])


def birds(root: Path) -> None:
    """BirdCLEF: sound."""
    (root / "train_audio" / "asbfly").mkdir(parents=True)
    (root / "train_audio" / "asbfly" / "XC134896.ogg").write_bytes(b"OggS")
    table(root, "train_metadata.csv", "primary_label,filename", [("asbfly", "asbfly/XC134896.ogg")])
    table(root, "sample_submission.csv", "row_id,asbfly", [("soundscape_1_5", 0.5)])
