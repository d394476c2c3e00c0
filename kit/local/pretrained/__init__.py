"""Published checkpoints: their addresses, their download, and their conversion into weights of our networks.

This package is local. Code that runs on Kaggle never imports it, downloads nothing and unpickles nothing.
"""
