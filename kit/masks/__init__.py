"""Run lengths, COCO counts, polygons and overlaps of masks."""
