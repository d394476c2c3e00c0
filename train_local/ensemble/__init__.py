"""Finished runs to `ensemble.json`: search of the ladder, honest scores, passes, rungs, published ensembles.

The files are imported one by one: processes that read maps import theirs without torch.
"""
