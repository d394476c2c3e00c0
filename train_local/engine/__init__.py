"""One training: epochs, steps, weights, checkpoints, and the processes and memory that it takes."""
