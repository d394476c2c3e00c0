"""Make a small classification competition of sample/vasculature: is a tile crowded with nuclei?

    python make_data.py --sample sample/vasculature --out work/crowded-tiles-data

A tile is crowded if it has 28 outlines or more: half of the training tiles are. The held-out tiles and their
outlines are those that the sample holds out.
"""

import argparse
import csv
import json
import shutil
from pathlib import Path

CROWDED = 28
SIDES = (("i", 320), ("j", 256))
"""Width and height of a tile, beside the columns with its place."""


def counts(path):
    """Id of a tile -> number of its outlines."""
    with path.open() as stream:
        rows = [json.loads(line) for line in stream]
    return {row["id"]: len(row["annotations"]) for row in rows}


def images_of(path):
    """Id of a tile -> the image it was cut from: two by two tiles, and the next image a tile further on."""
    with path.open(newline="") as stream:
        return {
            row["id"]: "-".join(
                [row["source_wsi"], *(str(int(row[key]) // side // 3) for key, side in SIDES)]
            )
            for row in csv.DictReader(stream)
        }


def write(path, header, rows):
    """Write a table."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def main():
    """Copy the tiles and write the three tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    train, test = counts(options.sample / "polygons.jsonl"), counts(options.sample / "solution.jsonl")
    image = images_of(options.sample / "tile_meta.csv")
    for part, ids in (("train", train), ("test", test)):
        (options.out / part).mkdir(parents=True, exist_ok=True)
        for tile in ids:
            shutil.copyfile(options.sample / part / f"{tile}.tif", options.out / part / f"{tile}.tif")
    labelled = [(tile, int(count >= CROWDED), image[tile]) for tile, count in sorted(train.items())]
    write(options.out / "train.csv", ("id", "crowded", "image"), labelled)
    held_out = [(tile, int(count >= CROWDED)) for tile, count in sorted(test.items())]
    write(options.out / "solution.csv", ("id", "crowded"), held_out)
    write(options.out / "sample_submission.csv", ("id", "crowded"), [(tile, 0.5) for tile, _ in held_out])


if __name__ == "__main__":
    main()
