"""The training side of a competition: truth, scores, and what its masks usually look like."""
