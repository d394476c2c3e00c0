"""The local side of a competition: truth, checks of a data folder, scores, and plausible masks."""
