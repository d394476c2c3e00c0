"""The supervisor, its worker processes, and what a worker does."""
