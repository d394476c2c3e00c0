"""Locks and weights in, verified Kaggle datasets out."""
