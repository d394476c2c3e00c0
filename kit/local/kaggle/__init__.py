"""The official Kaggle client in a child process with deadlines, and what its answers are worth.

Only the child (`worker`) imports `kaggle` and `requests`: `import kaggle` calls the network.
"""
