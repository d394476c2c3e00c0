"""What values of mask images mean: right where it is clear, told or refused where it is not."""

import json
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kit.competitions.report import Report
from kit.errors import KitError
from kit.local.competitions import mask_images, mask_values
from kit.local.competitions.remarks import Remarks
from kit.masks import rle

HEIGHT, WIDTH = 64, 80
LABEL_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
cv2.circle(LABEL_HW, (20, 30), 13, 1, -1)
cv2.ellipse(LABEL_HW, (55, 30), (17, 10), 30, 0, 360, 2, -1)
MASK_HW = LABEL_HW > 0
GREY_HW = np.where(MASK_HW, 255, 0).astype(np.uint8)
SCALED_HW = cv2.resize(cv2.resize(GREY_HW, (WIDTH // 2, HEIGHT // 2)), (WIDTH, HEIGHT))
BLURRED_HW = cv2.GaussianBlur(GREY_HW, (5, 5), 1)
PURPLE, GREEN = [129, 127, 38], [53, 125, 34]
MASKS = 'form = "images"\nfile = "masks/{id}.png"\n'


def read(path, kind):
    """Values, and what was said of them."""
    remarks, report = Remarks(), Report("")
    values_HW = mask_values.labels(mask_images.read(path, HEIGHT, WIDTH, remarks), kind, remarks)
    remarks.tell(report)
    return values_HW, [str(finding) for finding in report.findings]


def save(path, pixels, *, palette=None, mode=None, **options):
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, **options)
        return path
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture = Image.frombytes("P", (WIDTH, HEIGHT), pixels.tobytes())
        picture.putpalette([value for colour in palette for value in colour])
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def grey_png(path, values_HW, bits):
    """A PNG of 2 or 4 bits, which no library at hand writes."""
    each = 8 // bits
    rows = [
        b"\0"
        + bytes(
            sum(int(v) << (8 - bits * (n + 1)) for n, v in enumerate(row[x : x + each]))
            for x in range(0, WIDTH, each)
        )
        for row in values_HW
    ]

    def chunk(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


CLEAR = {
    "0 and 1": lambda p: save(p / "a.png", LABEL_HW),
    "palette": lambda p: save(p / "a.png", LABEL_HW, palette=[PURPLE, [120, 69, 125], GREEN, [0, 0, 0]]),
    "palette, black first": lambda p: save(p / "a.png", LABEL_HW, palette=[[0, 0, 0], PURPLE, GREEN]),
    "palette of greys": lambda p: save(p / "a.png", LABEL_HW, palette=[[0] * 3, [1] * 3, [2] * 3]),
    "GIF": lambda p: save(p / "a.gif", LABEL_HW, palette=[[0, 0, 0], PURPLE, GREEN]),
    "BMP": lambda p: save(p / "a.bmp", LABEL_HW, palette=[[0, 0, 0], PURPLE, GREEN]),
    "grey and opacity": lambda p: save(p / "a.png", LABEL_HW * 100, mode="LA"),
    "equal channels": lambda p: save(p / "a.png", LABEL_HW, mode="RGB"),
    "equal channels and opacity": lambda p: save(p / "a.png", LABEL_HW, mode="RGBA"),
    "16 bits": lambda p: save(p / "a.png", LABEL_HW.astype(np.uint16) * 300),
    "2 bits": lambda p: grey_png(p / "a.png", LABEL_HW, 2),
    "4 bits": lambda p: grey_png(p / "a.png", LABEL_HW, 4),
    "lossless WebP": lambda p: save(p / "a.webp", LABEL_HW * 90, lossless=True),
    "TIFF": lambda p: save(p / "a.tif", LABEL_HW),
    "TIFF of floats": lambda p: save(p / "a.tif", LABEL_HW.astype(np.float32)),
    "TIFF of planes": lambda p: save(p / "a.tif", np.stack([LABEL_HW] * 3), photometric=2, planarconfig=2),
    "TIFF, large labels": lambda p: save(p / "a.tif", LABEL_HW.astype(np.uint32) * 70_000),
    "TIFF named PNG": lambda p: save(p / "b.tif", LABEL_HW).rename(p / "a.png"),
}  # fmt: skip


@pytest.mark.parametrize("write", CLEAR.values(), ids=CLEAR)
def test_values_are_labels_in_every_format(tmp_path, write):
    path = write(tmp_path)
    values_HW, said = read(path, "semantic")
    assert np.array_equal(values_HW != 0, MASK_HW)
    values_HW, said_of_instances = read(path, "instance")
    runs = mask_values.runs_by_label(values_HW)
    assert [rle.decode(one, HEIGHT, WIDTH).tolist() for one in runs] == [
        (n == LABEL_HW).tolist() for n in (1, 2)
    ]
    assert said == said_of_instances == []


def test_labels_in_16_bit_colours_keep_their_values(tmp_path):
    deep_HW = LABEL_HW.astype(np.uint16) * 300
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([deep_HW] * 3))
    assert np.array_equal(read(tmp_path / "a.png", "instance")[0], deep_HW)


GREYS = {
    "JPEG": lambda p: save(p / "a.jpg", GREY_HW, quality=75),
    "JPEG in colours": lambda p: save(p / "a.jpg", GREY_HW, mode="RGB", quality=75),
    "JPEG, then PNG": lambda p: save(p / "b.png", np.asarray(Image.open(save(p / "a.jpg", GREY_HW)))),
    "JPEG in TIFF": lambda p: save(p / "a.tif", GREY_HW, compression="jpeg"),
    "lossy WebP": lambda p: save(p / "a.webp", GREY_HW, quality=70),
    "scaled": lambda p: save(p / "a.png", SCALED_HW),
    "scaled, in colours": lambda p: save(p / "a.png", SCALED_HW, mode="RGB"),
    "scaled, palette of greys": lambda p: save(
        p / "a.png", np.unique(SCALED_HW, return_inverse=True)[1].reshape(HEIGHT, WIDTH).astype(np.uint8),
        palette=[[value] * 3 for value in np.unique(SCALED_HW).tolist()],
    ),
    "blurred": lambda p: save(p / "a.png", BLURRED_HW),
    "probabilities": lambda p: save(p / "a.tif", (BLURRED_HW / 255).astype(np.float32)),
    "16 bits": lambda p: save(p / "a.png", BLURRED_HW.astype(np.uint16) * 257),
}  # fmt: skip


@pytest.mark.parametrize("write", GREYS.values(), ids=GREYS)
def test_greys_are_cut_at_half_with_an_alarm_and_are_no_instances(tmp_path, write):
    path = write(tmp_path)
    values_HW, said = read(path, "semantic")
    wrong = np.count_nonzero((values_HW != 0) != MASK_HW)
    assert wrong <= 0.03 * MASK_HW.sum(), "all greys as foreground are 8 % or more of it"
    (alarm,) = said
    assert alarm.startswith("alarm: 1 mask images hold greys between 0 and ")
    with pytest.raises(KitError, match=r"its format changes values|mask image holds greys up to"):
        read(path, "instance")


CLASSES_HWC = np.dstack([np.equal(LABEL_HW % 4, number) for number in range(4)]).astype(np.uint8)
CLASSES_CHW = np.moveaxis(CLASSES_HWC[..., :2], 2, 0)
PLANES = {"photometric": 1, "planarconfig": 2}
TOGETHER = {"photometric": 1, "planarconfig": 1}
UNCLEAR = {
    "labels in JPEG": (lambda p: save(p / "a.jpg", LABEL_HW), "holds greys up to"),
    "classes, scaled": (
        lambda p: save(p / "a.png", cv2.resize(LABEL_HW[::2, ::2] * 100, (WIDTH, HEIGHT))),
        "holds greys up to 200, neither 0 and 255 nor labels",
    ),
    "palette, white first": (
        lambda p: save(p / "a.png", MASK_HW.astype(np.uint8), palette=[[255] * 3, [0] * 3]),
        "background is not clear: 0 has a colour, 1 is black",
    ),
    "colours without black": (
        lambda p: save(p / "a.png", np.array([PURPLE, GREEN, [9, 8, 7]], np.uint8)[LABEL_HW]),
        "several colours and none is black",
    ),
    "opacity only": (
        lambda p: save(p / "a.png", np.dstack([np.full_like(GREY_HW, 255)] * 3 + [GREY_HW])),
        "differs in its opacity (alpha) only",
    ),
    "CMYK": (lambda p: save(p / "a.jpg", GREY_HW, mode="CMYK"), "mask image holds CMYK colours"),
    "pages": (lambda p: save(p / "a.tif", np.stack([LABEL_HW] * 3), photometric=1), "holds 3 pages"),
    "many pages": (lambda p: save(p / "a.tif", np.stack([LABEL_HW] * 7)), "holds 7 pages"),
    "animated": (
        lambda p: save(p / "a.gif", GREY_HW, save_all=True, append_images=[Image.fromarray(255 - GREY_HW)]),
        "holds 2 pages",
    ),
    "planes of another size": (
        lambda p: save(p / "a.tif", np.stack([LABEL_HW[:48]] * 3), photometric=2, planarconfig=2),
        "has 48 x 80 pixels (height x width) in 3 channels, its image 64 x 80",
    ),
    "pages of another size": (
        lambda p: save(p / "a.tif", np.stack([LABEL_HW[:48]] * 3), photometric=1),
        "has 48 x 80 pixels (height x width) on 3 pages, its image 64 x 80",
    ),
    "five planes": (
        lambda p: save(p / "a.tif", np.stack([LABEL_HW] * 5), photometric=1, planarconfig=2),
        "has 5 channels, which are neither grey nor red, green and blue",
    ),
    "five channels": (
        lambda p: save(p / "a.tif", np.dstack([LABEL_HW] * 5), photometric=1, planarconfig=1),
        "has 5 channels, which are neither grey nor red, green and blue",
    ),
    "negative": (lambda p: save(p / "a.tif", LABEL_HW.astype(np.int16) - 1), "negative values, down to -1"),
    "NaN": (lambda p: save(p / "a.tif", np.where(MASK_HW, np.nan, 0).astype("f4")), "no finite numbers"),
    "complex": (lambda p: save(p / "a.tif", MASK_HW.astype(np.complex64)), "values of the type complex64"),
    "two classes": (lambda p: save(p / "a.tif", CLASSES_CHW, **PLANES), "has 2 channels"),
    "four classes": (lambda p: save(p / "a.tif", CLASSES_HWC, **TOGETHER), "has 4 channels"),
    "white is zero": (lambda p: save(p / "a.tif", LABEL_HW, photometric="miniswhite"), "its zero is white"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "problem"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_not_clear_is_refused_with_what_to_write(tmp_path, write, problem):
    path = write(tmp_path)
    with pytest.raises(KitError) as caught:
        read(path, "semantic")
    assert problem in caught.value.problem
    assert caught.value.where == str(path)
    assert "write one channel of 8 or 16 bits, 0 for background, as PNG or TIFF" in caught.value.fix


def test_a_colour_is_no_number_of_an_instance(tmp_path):
    colours_HWC = np.array([[0, 0, 0], PURPLE, GREEN], np.uint8)[LABEL_HW]
    path = save(tmp_path / "a.png", colours_HWC)
    values_HW, said = read(path, "semantic")
    assert np.array_equal(values_HW != 0, MASK_HW)
    assert said == []
    with pytest.raises(KitError, match="a colour is no number of an instance"):
        read(path, "instance")


def test_values_that_are_hardly_meant_so_raise_an_alarm(tmp_path):
    void_HW = np.where(cv2.Laplacian(LABEL_HW, cv2.CV_64F) != 0, 255, LABEL_HW).astype(np.uint8)
    (alarm,) = read(save(tmp_path / "void.png", void_HW), "semantic")[1]
    assert alarm.startswith("alarm: 1 mask images hold 255 beside other labels")
    (alarm,) = read(save(tmp_path / "binary.png", GREY_HW), "instance")[1]
    assert alarm.startswith("alarm: 1 mask images hold one value for many separate regions")
    assert read(save(tmp_path / "binary.png", GREY_HW), "semantic")[1] == []


@pytest.mark.parametrize("by_tifffile", [True, False])
def test_a_black_and_white_tiff_whose_zero_is_white_is_read_as_its_writer_means_it(tmp_path, by_tifffile):
    path = tmp_path / "a.tif"
    if by_tifffile:
        tifffile.imwrite(path, MASK_HW)
    else:
        Image.fromarray(GREY_HW).convert("1").save(path, compression="group4", tiffinfo={262: 0})
    values_HW, (alarm,) = read(path, "semantic")
    assert np.array_equal(values_HW, MASK_HW)
    assert f"{MASK_HW.mean():.1%} foreground" in alarm


def test_a_jpeg_without_foreground_is_an_empty_mask(tmp_path):
    path = save(tmp_path / "a.jpg", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert not read(path, "semantic")[0].any()


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_labels_of_small_instances_are_never_taken_for_greys(tmp_path_factory, side, seed):
    """Squares of 1 to 6 pixels; small ones touch others at corners, larger ones at sides."""
    numbers = np.random.default_rng(seed).permutation(256)[:100].reshape(10, 10).astype(np.uint8)
    if side < 3:
        numbers[np.indices(numbers.shape).sum(axis=0) % 2 == 1] = 0
    label_HW = np.zeros((HEIGHT, WIDTH), np.uint8)
    label_HW[: 10 * side, : 10 * side] = np.kron(numbers, np.ones((side, side), np.uint8))
    path = tmp_path_factory.getbasetemp() / "labels.png"
    Image.fromarray(label_HW).save(path)
    for kind in ("semantic", "instance"):
        assert np.array_equal(read(path, kind)[0], label_HW)


@pytest.mark.parametrize("kind", ["semantic", "instance"])
def test_palette_masks_as_truth_score_one(case, capsys, kind):
    folder = case.make(kind, MASKS)
    for name in "ab":
        (folder.data / "masks").mkdir(exist_ok=True)
        save(folder.data / "masks" / f"{name}.png", LABEL_HW, palette=[PURPLE, [120, 69, 125], GREEN])
    assert folder.findings() == []
    truth = folder.labelled().truth(["a", "b"])
    rows = {key: folder.competition.rows(key, found)[0]["mask"] for key, found in truth.items()}
    if kind == "semantic":
        rows = dict.fromkeys("ab", rle.to_kaggle(rle.encode(MASK_HW)))
    assert folder.run("score", rows, "--split", "train", "--json") == 0
    assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(1.0)


def test_jpeg_masks_as_truth_score_one_with_an_alarm(case, capsys):
    folder = case.make("semantic", MASKS.replace("png", "jpg"))
    (folder.data / "masks").mkdir()
    for name in "ab":
        save(folder.data / "masks" / f"{name}.jpg", GREY_HW, quality=90)
    (alarm,) = folder.findings()
    assert alarm.startswith("alarm: 2 mask images hold greys between 0 and 255")
    rows = dict.fromkeys("ab", rle.to_kaggle(rle.encode(MASK_HW)))
    assert folder.run("score", rows, "--split", "train", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["value"] > 0.99
    assert any("mask images hold greys" in text for text in result["alarms"])
    assert folder.run("validate", rows, "--split", "train") == 0
    assert "mask images hold greys" in capsys.readouterr().out


def test_masks_that_fill_all_training_images_are_an_alarm(case, capsys):
    folder = case.make("semantic", MASKS)
    (folder.data / "masks").mkdir()
    for name in "ab":
        save(folder.data / "masks" / f"{name}.png", np.full((HEIGHT, WIDTH), 7, np.uint8))
    (alarm,) = folder.findings()
    assert alarm.startswith("alarm: 2 of 2 training images have a mask that covers the whole image")
    rows = dict.fromkeys("ab", f"1 {HEIGHT * WIDTH}")
    assert folder.run("score", rows, "--split", "train") == 0
    assert "2 of 2 training images have a mask that covers the whole image" in capsys.readouterr().out
    for name in "cd":
        save(folder.data / "masks" / f"{name}.png", GREY_HW)
    folder.images("train/c.tif", "train/d.tif", "train/e.tif")
    save(folder.data / "masks" / "e.png", GREY_HW)
    (note,) = folder.findings()
    assert note.startswith("note: 2 of 5 training images have a mask that covers the whole image")


def test_validate_says_why_masks_are_not_compared(case, capsys):
    folder = case.make("semantic", MASKS)
    (folder.data / "masks").mkdir()
    for name in "ab":
        save(
            folder.data / "masks" / f"{name}.png",
            (LABEL_HW > 0).astype(np.uint8),
            palette=[[255] * 3, [0] * 3],
        )
    assert folder.run("validate", {"t": ""}) == 0
    assert (
        "masks are not compared with those of the training images: mask image has a palette"
        in capsys.readouterr().out
    )
    assert folder.run("score", dict.fromkeys("ab", ""), "--split", "train") == 2
    assert "mask image has a palette whose background is not clear" in capsys.readouterr().err
