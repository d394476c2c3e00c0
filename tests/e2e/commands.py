"""Commands of the chain in this process: in one of its own, each would import torch again."""

import contextlib
import io
from dataclasses import replace
from importlib import import_module
from unittest.mock import patch

from kit.local.program import run_cli
from train_local.recipes.settings import Validation
from train_local.recipes.unet import UnetRecipe
from train_local.recipes.vasculature import TileRecipe


def run(package, *arguments):
    """Return what `python -m PACKAGE ARGUMENTS` prints; it has to end with the code 0."""
    words, out, err = [*map(str, arguments)], io.StringIO(), io.StringIO()
    main = import_module(f"{package}.__main__").main
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_cli(main, words)
    assert code == 0, f"{package} {' '.join(words)}\n{out.getvalue()[-4000:]}\n{err.getvalue()[-6000:]}"
    return out.getvalue()


@contextlib.contextmanager
def short_training(steps):
    """Let every tiny recipe take so many steps: `--max-seconds` would train as far as the machine is fast."""
    once = Validation(every=steps, unit="iteration")
    with contextlib.ExitStack() as stack:
        for kind in (TileRecipe, UnetRecipe):
            stack.enter_context(patch.object(kind, "tiny", _shortened(kind.tiny, steps, once)))
        yield


def _shortened(tiny, steps, once):
    return lambda recipe: replace(tiny(recipe), iterations=steps, validation=once)
