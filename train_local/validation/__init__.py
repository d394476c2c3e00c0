"""Held-out images: predicted by the engine of Kaggle, scored by its metric, kept for the ensemble."""
