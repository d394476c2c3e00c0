"""Everything that `train-all` does, as a graph of jobs: planned at once, done by one machine or many."""
