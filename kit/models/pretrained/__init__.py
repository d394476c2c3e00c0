"""Published checkpoints: where they are, how they are fetched, how they become weights of our networks.

Local only: nothing that runs on Kaggle imports this, downloads, or unpickles.
"""

from kit.models.pretrained.conversion import convert
from kit.models.pretrained.download import fetch
from kit.models.pretrained.entry import Pretrained
from kit.models.pretrained.load import load_pretrained
from kit.models.pretrained.registry import get, names
from kit.models.pretrained.store import find

__all__ = ["Pretrained", "convert", "fetch", "find", "get", "load_pretrained", "names"]
