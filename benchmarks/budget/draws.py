"""How numbers are drawn."""

from __future__ import annotations

import math

import numpy as np

Random = np.random.Generator


def log_even(random: Random, low: float, high: float) -> float:
    """Draw a number whose logarithm is even between those of two others."""
    return float(math.exp(random.uniform(math.log(low), math.log(high))))


def chance(random: Random, probability: float) -> bool:
    """Draw whether something happens."""
    return bool(random.random() < probability)
