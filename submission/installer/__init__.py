"""A bundle of wheels alone -> install.py, and its rehearsal."""
