"""Commands of README and docs, executed in copies of the repository."""
