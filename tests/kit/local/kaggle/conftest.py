"""The fixtures of the loopback Kaggle."""

from tests.kaggle_server.fixtures import kaggle, wire

__all__ = ["kaggle", "wire"]
