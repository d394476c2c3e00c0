"""Kaggle's limits, as its documentation and its official client state them (November 2026)."""

from __future__ import annotations

TOP_LEVEL_ENTRIES = 50
"""Files and folders at the top of a dataset. Whether the server enforces this number is not known; the
documentation asks everyone who has more to upload an archive."""

KERNEL_SOURCE_BYTES = 1_000_000
"""A script or notebook must be smaller than this; the server refuses it otherwise."""

DATASET_NAME_LENGTHS = range(6, 51)
"""Characters of the part of a dataset's address after the owner."""

TITLE_LENGTHS = range(6, 51)
"""Characters of a dataset's title."""

SUBTITLE_LENGTHS = range(20, 81)
"""Characters of a dataset's subtitle."""

KERNEL_TITLE_LENGTHS = range(5, 51)
"""Characters of a kernel's title; longer ones are cut without a word."""
