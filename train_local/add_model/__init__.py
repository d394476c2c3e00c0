"""A trained model of one's own becomes finished runs: checked, predicted out of fold, with its source."""
