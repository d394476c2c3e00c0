"""Where jobs run: on this machine, on a Slurm cluster, on a Ray cluster. All machines share a file system."""
