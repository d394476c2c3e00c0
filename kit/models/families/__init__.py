"""One module per family of networks; `kit.models.registry` lists the modules of this folder.

To add a family, add one file with `ENTRIES`, a tuple of `kit.models.entry.Entry`. predict.py carries only the
families of its members.
"""
