"""A rehearsal of predict.py: its stage, what it came to, and whether the submission is safe to send."""
