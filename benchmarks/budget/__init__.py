"""Whole runs on Kaggle, simulated: the real planning code in worlds that are drawn."""
