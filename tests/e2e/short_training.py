"""`python -m train_local` with fewer steps: `--max-seconds` would train as far as the machine is fast.

Arguments: number of steps of every tiny recipe, then those of `python -m train_local`.
"""

import sys
from dataclasses import replace

from kit.local.program import run_cli
from train_local.cli import main
from train_local.recipes.settings import Validation
from train_local.recipes.unet import UnetRecipe
from train_local.recipes.vasculature import TileRecipe


def shorten(kind, steps):
    tiny = kind.tiny
    once = Validation(every=steps, unit="iteration")
    kind.tiny = lambda recipe: replace(tiny(recipe), iterations=steps, validation=once)


if __name__ == "__main__":
    number = int(sys.argv.pop(1))
    for recipes in (TileRecipe, UnetRecipe):
        shorten(recipes, number)
    sys.exit(run_cli(main))
