"""Datasets to Kaggle: checked before the first byte, read back after the last one."""
