"""Published checkpoints: their addresses, their download, and their conversion into weights of our networks.

This package is local. Code that runs on Kaggle never imports it, downloads nothing and unpickles nothing.
"""

from kit.local.pretrained.download import fetch
from kit.local.pretrained.entry import Pretrained
from kit.local.pretrained.limited import convert
from kit.local.pretrained.load import load_pretrained
from kit.local.pretrained.registry import get, names
from kit.local.pretrained.store import find

__all__ = ["Pretrained", "convert", "fetch", "find", "get", "load_pretrained", "names"]
