import numpy as np

from train_local.data.seams import source_images


def tissue(seed, height=64, width=80):
    """Blobs of random colour: neighbouring pixels resemble each other, distant ones do not."""
    noise_HWC = np.random.default_rng(seed).normal(0, 1, (height + 8, width + 8, 3))
    sums_HWC = noise_HWC.cumsum(axis=0).cumsum(axis=1)
    blobs_HWC = sums_HWC[8:, 8:] - sums_HWC[:-8, 8:] - sums_HWC[8:, :-8] + sums_HWC[:-8, :-8]
    return np.clip(128 + 8 * blobs_HWC, 0, 255).astype(np.uint8)


def quarters(name, image_HWC):
    height, width = image_HWC.shape[0] // 2, image_HWC.shape[1] // 2
    return {
        f"{name}{row}{column}": image_HWC[
            row * height : (row + 1) * height, column * width : (column + 1) * width
        ]
        for row in range(2)
        for column in range(2)
    }


def expected(name):
    return {f"{name}{row}{column}": (row, column) for row in range(2) for column in range(2)}


def test_quarters_of_several_images_are_put_together_again():
    tiles = quarters("a", tissue(1)) | quarters("b", tissue(2)) | quarters("c", tissue(3))
    assert source_images(tiles, rows=2, columns=2, limit=1.5) == [expected("a"), expected("b"), expected("c")]


def test_missing_quarters_leave_the_rest_in_place():
    tiles = quarters("a", tissue(4)) | quarters("b", tissue(5))
    del tiles["a00"], tiles["b01"], tiles["b11"]
    assert source_images(tiles, rows=2, columns=2, limit=1.5) == [
        {"a01": (0, 1), "a10": (1, 0), "a11": (1, 1)},
        {"b00": (0, 0), "b10": (1, 0)},
    ]


def test_no_image_grows_over_its_grid():
    whole_HWC = tissue(6, 16, 160)
    tiles = {str(index): whole_HWC[:, index * 40 : index * 40 + 40] for index in range(4)}
    parts = source_images(tiles, rows=1, columns=2, limit=1e9)
    assert sorted(len(part) for part in parts) == [2, 2]


def test_unrelated_tiles_stay_alone():
    tiles = {
        str(seed): np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8) for seed in range(4)
    }
    assert source_images(tiles, rows=2, columns=2, limit=0.1) == [{key: (0, 0)} for key in "0123"]
