"""The fixtures of the loopback Kaggle."""

from tests.kaggle_server.fixtures import kaggle, loopback, wire

__all__ = ["kaggle", "loopback", "wire"]
