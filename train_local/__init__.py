"""Competition data to weights and out-of-fold predictions."""
