"""Notebooks as Kaggle takes them, made of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal


def notebook(cells: Sequence[tuple[Literal["markdown", "code"], str]]) -> str:
    """Return the text of an .ipynb file.

    Args:
        cells: kind and text of each.
    """
    value = {
        "cells": [
            {
                "cell_type": kind,
                "id": f"cell-{number}",
                "metadata": {},
                # nbformat allows one text or a list of lines. The text is shorter: a list quotes every line.
                "source": text,
                **({"execution_count": None, "outputs": []} if kind == "code" else {}),
            }
            for number, (kind, text) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
