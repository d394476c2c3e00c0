"""The rendered predict.py under random faults of its machine, held against what it has to leave behind."""
