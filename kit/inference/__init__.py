"""Predict images with the networks of an ensemble, and fuse the results of all passes into one prediction."""
