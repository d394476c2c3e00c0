"""What operations draw and do, measured from outside and held against published arguments.

Each check gets the operation of a recipe and its published arguments. It does the operation often, and
asserts that values are exact, or that they stay within the published range and reach its ends.
"""

import cv2
import numpy as np
from torchvision.transforms.v2 import functional as F

from train_local import augment

DRAWS = 300
NOISE_HWC = np.random.default_rng(5).integers(0, 256, (60, 60, 3), np.uint8)


def done(op, image_HWC=NOISE_HWC, *, draws=DRAWS, masks_NHW=None):
    """Images and masks after `draws` draws of an operation; instances if there are masks, else semantic."""
    random = np.random.default_rng(11)
    for _ in range(draws):
        if masks_NHW is not None:
            yield augment.instances([op], image_HWC, masks_NHW, random)
        else:
            yield augment.semantic([op], image_HWC, np.zeros(image_HWC.shape[:2], np.uint8), random)


def images(op, image_HWC=NOISE_HWC, *, draws=DRAWS, instances=True):
    """Images after an operation, in an example with one instance or with a semantic mask."""
    masks_NHW = np.ones((1, *image_HWC.shape[:2]), bool) if instances else None
    return [changed for changed, _ in done(op, image_HWC, draws=draws, masks_NHW=masks_NHW)]


def drawn(op, image_HWC=NOISE_HWC, *, draws=DRAWS):
    """What albumentations drew each time."""
    transform = op.made().transform
    return [dict(transform.params) for _ in done(op, image_HWC, draws=draws)]


def covers(values, low, high, *, slack=0.0):
    """All values lie in the range, and 300 of them come near both ends."""
    values, near = np.asarray(values, float), 0.05 * (high - low)
    assert low - slack <= values.min() <= low + near + slack, (values.min(), low, high)
    assert high - near - slack <= values.max() <= high + slack, (values.max(), low, high)


def evenly(values, count):
    """The values are `count` kinds, each as frequent within 4 sigma."""
    _, found = np.unique(np.asarray(values).reshape(len(values), -1), axis=0, return_counts=True)
    share = 1 / count
    assert len(found) == count, found
    assert np.abs(found / len(values) - share).max() < 4 * (share * (1 - share) / len(values)) ** 0.5, found


def around(limit, centre=0.0):
    low, high = limit if isinstance(limit, list) else (-limit, limit)
    return centre + low, centre + high


def close(one, other, tolerance=1):
    return np.abs(one.astype(int) - np.asarray(other).round().astype(int)).max() <= tolerance


def blended(image_HWC, other, factor):
    """factor of the image and 1 - factor of the other."""
    return np.clip(image_HWC * factor + np.asarray(other, float) * (1 - factor), 0, 255)


# --- mmdet


def random_flip(op, args):
    assert args["directions"] == ["horizontal", "vertical"]
    kinds = {NOISE_HWC[:, ::-1].tobytes(): 0, NOISE_HWC[::-1].tobytes(): 1}
    evenly([kinds.get(image.tobytes(), -1) for image in images(op)], 2)


def shear(op, args):
    assert args["level"] == 0
    assert all(np.array_equal(image, NOISE_HWC) for image in images(op, draws=20))


def translate(op, args):
    pixels = args["level"] * 25
    image_HWC = np.random.default_rng(5).integers(0, 256, (4, 300, 3), np.uint8)
    right, left = np.full_like(image_HWC, 128), np.full_like(image_HWC, 128)
    right[:, pixels:], left[:, :-pixels] = image_HWC[:, :-pixels], image_HWC[:, pixels:]
    kinds = {right.tobytes(): 0, left.tobytes(): 1}
    evenly([kinds.get(image.tobytes(), -1) for image in images(op, image_HWC)], 2)


def rotate(op, args):
    degrees, (height, width) = args["level"] * 3.0, NOISE_HWC.shape[:2]

    def turned(angle):
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
        return cv2.warpAffine(NOISE_HWC, matrix, (width, height), borderValue=(128, 128, 128)).tobytes()

    kinds = {turned(degrees): 0, turned(-degrees): 1}
    evenly([kinds.get(image.tobytes(), -1) for image in images(op)], 2)


def colour_transform(op, args):
    factor = args["level"] / 10 * 1.8 + 0.1
    grey_HW = cv2.cvtColor(NOISE_HWC, cv2.COLOR_RGB2GRAY)
    assert all(close(image, blended(NOISE_HWC, grey_HW[..., None], factor)) for image in images(op, draws=5))


def brightness_transform(op, args):
    factor = args["level"] / 10 * 1.8 + 0.1
    assert all(close(image, blended(NOISE_HWC, 0, factor)) for image in images(op, draws=5))


def contrast_transform(op, args):
    factor = args["level"] / 10 * 1.8 + 0.1
    mean = cv2.cvtColor(NOISE_HWC, cv2.COLOR_RGB2GRAY).mean().round()
    assert all(close(image, blended(NOISE_HWC, mean, factor)) for image in images(op, draws=5))


def equalize_transform(op, args):
    assert not args
    import torch

    expected_CHW = F.equalize(torch.from_numpy(NOISE_HWC).permute(2, 0, 1))
    assert all(np.array_equal(image, expected_CHW.permute(1, 2, 0).numpy()) for image in images(op, draws=5))


def photo_metric_distortion(op, args):
    # Grey has no hue and no saturation: a quarter of the draws (no brightness, no contrast) leaves it alone.
    low, high = args["contrast_range"]
    delta = args["brightness_delta"]
    greys = [int(image[0, 0, 0]) for image in images(op, np.full((2, 2, 3), 100, np.uint8), draws=900)]
    same = np.mean([grey == 100 for grey in greys])
    assert abs(same - 0.25) < 0.07, same
    covers(greys, (100 - delta) * low, (100 + delta) * high, slack=1)
    # Hue 30 degrees: only with the channels in order the hue stays between 0 and 60, whatever else is drawn.
    colour_HWC = np.full((2, 2, 3), (180, 140, 100), np.uint8)
    hues = []
    for image in images(op, colour_HWC, draws=900):
        hue, saturation, _ = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0, 0]
        if image.max() < 255 and image.min() > 0 and saturation > 0.2:
            hues.append(hue)
    kept = [hue for hue in hues if 0 < hue < 60]
    assert abs(len(kept) / len(hues) - 7 / 12) < 0.08
    covers(kept, 30 - args["hue_delta"], 30 + args["hue_delta"], slack=1.5)


def min_iou_random_crop(op, args):
    side = 200
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    image_HWC = np.stack([rows, columns, rows], axis=2)
    masks_NHW = np.zeros((1, side, side), bool)
    masks_NHW[0, 4:196, 4:196] = True
    box, modes, transform = np.array([4, 4, 196, 196]), set(), op.made().transform
    for changed_HWC, changed_NHW in done(op, image_HWC, masks_NHW=masks_NHW):
        modes.add(transform.mode)
        height, width = changed_HWC.shape[:2]
        if transform.mode == 1:
            assert np.array_equal(changed_HWC, image_HWC)
            continue
        top, left = changed_HWC[0, 0, :2].astype(int)
        least = int(args["min_crop_size"] * side)
        assert min(height, width) >= least
        assert 0.49 < height / width < 2.05
        sides = np.minimum(box[2:], [left + width, top + height]) - np.maximum(box[:2], [left, top])
        shared = np.clip(sides, 0, None).prod()
        assert shared / (192**2 + height * width - shared) >= transform.mode - 1e-6
        assert np.array_equal(changed_NHW[0], masks_NHW[0, top : top + height, left : left + width])
    assert modes == {1, 0, *args["min_ious"]}


def cut_out(op, args):
    white_HWC = np.full((700, 700, 3), 255, np.uint8)
    shapes, counts = {}, []
    for image_HWC in images(op, white_HWC, draws=120, instances=False):
        dark_HW = (image_HWC[..., 0] == 0).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(dark_HW)
        counts.append(count - 1)
        for left, top, width, height, area in stats[1:]:
            if left > 0 and top > 0 and left + width < 700 and top + height < 700 and area == width * height:
                shapes[width, height] = shapes.get((width, height), 0) + 1
    usual = {shape for shape, times in shapes.items() if times > 0.02 * sum(shapes.values())}
    assert usual == {tuple(shape) for shape in args["cutout_shape"]}
    # Holes may overlap, so fewer may be seen than were cut.
    assert max(counts) == args["n_holes"][1]
    assert min(counts) >= args["n_holes"][0] - 1


# --- albumentations


def shift_scale_rotate(op, args):
    shift, scale, degrees = (
        args.get(f"{name}_limit", args.get(name)) for name in ("shift", "scale", "rotate")
    )
    assert args.get("border", "reflect101") == "reflect101"
    white_HWC = np.full((400, 300, 3), 255, np.uint8)
    assert all(image.min() == 255 for image in images(op, white_HWC, draws=10, instances=False))
    taken = drawn(op, white_HWC)
    covers([one["scale"]["x"] for one in taken], 1 - scale, 1 + scale)
    assert all(one["scale"]["x"] == one["scale"]["y"] for one in taken)
    covers([one["rotate"] for one in taken], -degrees, degrees)
    middle = np.array([149.5, 199.5, 1])
    moved = np.array([one["matrix"] @ middle - middle for one in taken])
    covers(moved[:, 0] / 300, -shift, shift, slack=1 / 300)
    covers(moved[:, 1] / 400, -shift, shift, slack=1 / 400)


def rotate_freely(op, args):
    angles = [np.degrees(np.arctan2(one["matrix"][0, 1], one["matrix"][0, 0])) for one in drawn(op)]
    covers(angles, *around(args["limit"]))


def random_rotate90(op, args):
    assert not args
    kinds = {np.rot90(NOISE_HWC, turns).tobytes(): turns for turns in range(4)}
    evenly([kinds.get(image.tobytes(), -1) for image in images(op)], 4)


def flip(op, args):
    assert not args
    kinds = {
        NOISE_HWC[::-1].tobytes(): 0,
        NOISE_HWC[:, ::-1].tobytes(): 1,
        NOISE_HWC[::-1, ::-1].tobytes(): 2,
    }
    evenly([kinds.get(image.tobytes(), -1) for image in images(op)], 3)


def horizontal_flip(op, args):
    assert not args
    assert all(np.array_equal(image, NOISE_HWC[:, ::-1]) for image in images(op, draws=5))


def vertical_flip(op, args):
    assert not args
    assert all(np.array_equal(image, NOISE_HWC[::-1]) for image in images(op, draws=5))


def random_resized_crop(op, args):
    taken = np.array([one["crop_coords"] for one in drawn(op, np.zeros((1000, 1000, 3), np.uint8))])
    width, height = (taken[:, 2:] - taken[:, :2]).T
    covers(width * height / 1e6, *args["scale"], slack=0.01)
    # Wide windows of the whole area do not fit, so the largest areas are near squares.
    covers(np.log(width / height), *np.log(args["ratio"]), slack=0.02)
    assert all(image.shape[:2] == tuple(args["size"]) for image in images(op, draws=3, instances=False))


def grid_distortion(op, args):
    assert not args
    slopes = [np.diff(one["map_x"][0])[5::20] for one in drawn(op, np.zeros((100, 100, 3), np.uint8))]
    # A cell of 20 pixels has 19 steps between its first and last one, so that 0.7 to 1.3 are 20/19 of it.
    covers(np.concatenate(slopes) * 19 / 20, 0.7, 1.3, slack=0.01)


def optical_distortion(op, args):
    side, strengths = 100, []
    for one in drawn(op, np.zeros((side, side, 3), np.uint8)):
        # OpenCV sees the image from (side - 1) / 2 and puts what it sees around side / 2.
        x = (90 - (side - 1) / 2) / side
        square = 2 * x**2
        strengths.append(((one["map_x"][90, 90] - side / 2) / (side * x) - 1) / (square + square**2))
    covers(strengths, *around(args.get("distort_limit", 0.05)), slack=0.01)


def elastic_transform(op, args):
    # Noise from -1 to 1 has the deviation 0.577; a Gaussian filter leaves 1 / (2 sqrt(pi) sigma) of it. The
    # corners are moved by up to alpha_affine, which has the deviation 0.577 alpha_affine.
    rows, columns = np.mgrid[:120, :120].astype(np.uint8)
    ramp_HWC = np.stack([rows, columns, rows], axis=2)
    moved = [image[55:65, 55:65, 1].astype(float) - columns[55:65, 55:65] for image in images(op, ramp_HWC)]
    waves = args["alpha"] * 0.577 / (2 * np.pi**0.5 * args["sigma"])
    # The middle moves by the mean of two opposite corners.
    corners = 0.577 * args["alpha_affine"] / 2**0.5
    assert 0.85 < np.std(moved) / (waves**2 + corners**2) ** 0.5 < 1.15


def piecewise_affine(op, args):
    assert not args
    side = 200
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    ramp_HWC = np.stack([rows, columns, rows], axis=2)
    nodes = (round(side / 3), round(2 * side / 3))
    moved = [
        float(image[row, column, 1]) - column
        for image in images(op, ramp_HWC, draws=60, instances=False)
        for row in nodes
        for column in nodes
    ]
    # The deviation of a draw lies between 3 and 5 % of the side, so that of all is sqrt(0.00163) = 4.04 %.
    assert 0.035 < np.std(moved) / side < 0.046


def hue_saturation_value(op, args):
    limits = [around(args[name]) for name in ("hue", "sat", "val")]
    order = op.args.get("order", "RGB")
    colour_HWC = np.full((2, 2, 3), (150, 130, 100), np.uint8)
    start = cv2.cvtColor(colour_HWC if order == "RGB" else colour_HWC[..., ::-1], cv2.COLOR_RGB2HSV)[0, 0]
    shifts = []
    for image in images(op, colour_HWC, instances=False):
        now = cv2.cvtColor(image if order == "RGB" else image[..., ::-1].copy(), cv2.COLOR_RGB2HSV)[0, 0]
        shifts.append(now.astype(int) - start)
    # A colour of three bytes tells its hue on 2 half degrees only.
    shifts = np.array(shifts)
    shifts[:, 0] = (shifts[:, 0] + 90) % 180 - 90
    for values, (low, high) in zip(shifts.T, limits, strict=True):
        covers(values, low, high, slack=2)


def clahe(op, args):
    limit = args["clip_limit"]
    covers([one["clip_limit"] for one in drawn(op)], *(limit if isinstance(limit, list) else (1, limit)))
    assert op.made().transform.tile_grid_size == tuple(args.get("tile", (8, 8)))


def random_brightness_contrast(op, args):
    taken = drawn(op)
    covers([one["alpha"] for one in taken], *around(args["contrast"], 1.0))
    covers([one["beta"] / 255 for one in taken], *around(args["brightness"]))
    # v * alpha + beta, in this order.
    for changed, one in zip(images(op, draws=5, instances=False), taken, strict=False):
        assert close(changed, np.clip(NOISE_HWC * one["alpha"] + one["beta"], 0, 255))


def random_brightness(op, args):
    taken = drawn(op)
    assert all(one["alpha"] == 1 for one in taken)
    covers([one["beta"] / 255 for one in taken], *args["limit"])


def random_gamma(op, args):
    low, high = args["gamma_limit"]
    taken = drawn(op)
    covers([one["gamma"] for one in taken], low / 100, high / 100)
    for changed, one in zip(images(op, draws=5, instances=False), taken, strict=False):
        assert close(changed, 255 * (NOISE_HWC / 255) ** one["gamma"])


def color_jitter(op, args):
    taken = drawn(op)
    for name in ("brightness", "contrast", "saturation"):
        covers([one[name] for one in taken], *around(args[name], 1.0))
    covers([one["hue"] for one in taken], *around(args["hue"]))
    assert len({tuple(one["order"]) for one in taken}) == 24


def channel_shuffle(op, args):
    assert not args
    evenly([one["channels_shuffled"] for one in drawn(op)], 6)


def add_gamma_correction(op, args):
    image_HWC = np.concatenate([np.full((6, 60, 3), 20, np.uint8), np.maximum(NOISE_HWC, 100)])
    values = image_HWC / 255
    dark_HW = values.mean(axis=2) < values.mean() - 0.8 * values.std()
    assert 0 < dark_HW.sum() < dark_HW.size
    exponents_HW = np.where(dark_HW, 1 / args["gamma1"], 1 / args["gamma2"])
    (changed,) = images(op, image_HWC, draws=1, instances=False)
    assert close(changed, 255 * values ** exponents_HW[..., None])


def cutout(op, args):
    # A pixel far from the edge is in a hole if the hole's centre is one of 64 x 64 pixels of 512 x 512.
    white_HWC = np.full((512, 512, 3), 255, np.uint8)
    dark = np.mean(
        [
            image[128:384, 128:384, 0] == args["fill"]
            for image in images(op, white_HWC, draws=100, instances=False)
        ]
    )
    one = np.prod(args["size"]) / 512**2
    assert abs(dark - (1 - (1 - one) ** args["holes"])) < 0.02


def grid_dropout(op, args):
    white_HWC, starts = np.full((512, 512, 3), 255, np.uint8), []
    for image in images(op, white_HWC, draws=150, instances=False):
        filled_HW = image[..., 0] == args["fill"]
        rows, columns = filled_HW.any(axis=1), filled_HW.any(axis=0)
        assert np.array_equal(filled_HW, rows[:, None] & columns)
        starts.append([int(rows.argmax()), int(columns.argmax())])
        assert rows[starts[-1][0] : starts[-1][0] + 51].sum() == int(51 * args["ratio"])
    covers(np.array(starts)[:, 0], 0, 26)
    covers(np.array(starts)[:, 1], 0, 26)


def coarse_dropout(op, args):
    taken = drawn(op, np.full((512, 512, 3), 255, np.uint8))
    covers([len(one["holes"]) for one in taken], *args["holes"])
    sides = np.concatenate([one["holes"][:, 2:] - one["holes"][:, :2] for one in taken])
    covers(sides[:, 0], *args["side"])
    covers(sides[:, 1], *args["side"])
    assert all(one["fill"] == args["fill"] for one in taken)


def gaussian_blur(op, args):
    dot_HWC = np.zeros((31, 31, 3), np.uint8)
    dot_HWC[15, 15] = 255
    low, high = args["kernel"]
    # A white pixel becomes as wide as the kernel.
    widths = [int((image[15, :, 0] > 0).sum()) for image in images(op, dot_HWC, instances=False)]
    evenly(widths, (high - low) // 2 + 1)
    assert set(widths) == set(range(low, high + 1, 2))


def downscale(op, args):
    covers([one["scale"] for one in drawn(op)], *args["scale"])
    pair = op.made().transform.interpolation_pair
    assert pair == {"downscale": cv2.INTER_LINEAR, "upscale": cv2.INTER_LINEAR}


def crop(op, args):
    rows, columns = np.meshgrid(np.arange(2000), np.arange(2000), indexing="ij")
    image_HWC = np.stack([rows % 256, columns % 256, rows % 256], axis=2).astype(np.uint8)
    (x0, x1), (y0, y1) = args["x"], args["y"]
    (changed,) = images(op, image_HWC, draws=1, instances=False)
    assert np.array_equal(changed, image_HWC[y0:y1, x0:x1])


CHECKS = {
    "mmdet": {
        "BrightnessTransform": brightness_transform,
        "ColorTransform": colour_transform,
        "ContrastTransform": contrast_transform,
        "CutOut": cut_out,
        "EqualizeTransform": equalize_transform,
        "MinIoURandomCrop": min_iou_random_crop,
        "PhotoMetricDistortion": photo_metric_distortion,
        "RandomFlip": random_flip,
        "Rotate": rotate,
        "Shear": shear,
        "Translate": translate,
    },
    "albumentations": {
        "AddGammaCorrection": add_gamma_correction,
        "CLAHE": clahe,
        "ChannelShuffle": channel_shuffle,
        "CoarseDropout": coarse_dropout,
        "ColorJitter": color_jitter,
        "Crop": crop,
        "Cutout": cutout,
        "Downscale": downscale,
        "ElasticTransform": elastic_transform,
        "Flip": flip,
        "GaussianBlur": gaussian_blur,
        "GridDistortion": grid_distortion,
        "GridDropout": grid_dropout,
        "HorizontalFlip": horizontal_flip,
        "HueSaturationValue": hue_saturation_value,
        "OpticalDistortion": optical_distortion,
        "PiecewiseAffine": piecewise_affine,
        "RandomBrightness": random_brightness,
        "RandomBrightnessContrast": random_brightness_contrast,
        "RandomGamma": random_gamma,
        "RandomResizedCrop": random_resized_crop,
        "RandomRotate90": random_rotate90,
        "Rotate": rotate_freely,
        "ShiftScaleRotate": shift_scale_rotate,
        "VerticalFlip": vertical_flip,
    },
}
