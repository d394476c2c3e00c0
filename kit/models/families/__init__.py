"""One module for each family of networks; `kit.models.registry` finds them all by looking into this folder.

A new network is one new file here with `ENTRIES`, a tuple of `kit.models.entry.Entry`. predict.py carries the
families of its members only.
"""
