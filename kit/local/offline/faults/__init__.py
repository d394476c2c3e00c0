"""Faults of a Kaggle machine, made on this one: what they are, how they strike, how schedules are drawn."""
