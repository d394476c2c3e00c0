"""Published checkpoints: where they are, how they are fetched, how they become weights of our networks.

Local only: nothing that runs on Kaggle imports this, downloads, or unpickles.
"""

from kit.local.pretrained.conversion import convert
from kit.local.pretrained.download import fetch
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.load import load_pretrained
from kit.local.pretrained.registry import get, names
from kit.local.pretrained.store import find

__all__ = ["Pretrained", "convert", "fetch", "find", "get", "load_pretrained", "names"]
