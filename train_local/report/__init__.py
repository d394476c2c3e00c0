"""One HTML page about all runs: scores by fold, curves, best and worst images, the ladder, the recipes."""
