"""From an ensemble and its bundle to one `predict.py`, and its rehearsal on this machine."""
